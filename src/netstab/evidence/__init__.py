"""From the runs' histories to figures, curves and a page. No torch here."""
