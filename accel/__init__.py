"""What an accelerated network is and what it costs."""
