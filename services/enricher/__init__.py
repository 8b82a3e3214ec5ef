"""Identity plane: accounts and linked activity, sealed per person, under policy and audit."""
