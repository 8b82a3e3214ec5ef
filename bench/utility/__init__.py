"""How useful releases are: the shipped mechanism against thresholding and Wikimedia's parameters, on the same people."""
