"""Signal in, signal out: filters, rolling statistics, quality and realistic noise."""
