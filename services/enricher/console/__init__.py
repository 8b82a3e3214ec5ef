"""The pages for people who help one person at a time, and for who watches over them."""
