"""Other systems, brought to one shape so that they can be measured side by side."""
