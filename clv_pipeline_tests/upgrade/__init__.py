"""What an earlier version left behind: a small shop's clv.yaml, its orders, and the home its night made of them."""
