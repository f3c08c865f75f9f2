"""From files to scenarios, and what is wrong in them."""
