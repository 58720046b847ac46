"""Other systems and this one as workers and grids, brought to one shape so that they can be measured side by side."""
