"""Customer forecasts: models that turn a customers frame into purchases, spend and probabilities; pure."""
