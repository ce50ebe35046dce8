"""Raw customer transactions in, gated and published customer-lifetime-value marts out."""
