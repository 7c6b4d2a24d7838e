"""What differs between classification and detection: data, loss, metric."""
