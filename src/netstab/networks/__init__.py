"""Networks: those that come with netstab, one's own, and their parts."""
