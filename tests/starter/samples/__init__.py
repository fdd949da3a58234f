"""What a sample of the training data can be, one kind a module. Every choice is drawn from the generator `r`."""
