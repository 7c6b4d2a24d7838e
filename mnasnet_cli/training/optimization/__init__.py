"""From a batch to new weights: gradients, update rules, and the moving average."""
