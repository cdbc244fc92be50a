"""The report: a fit, a run or a model as one HTML file to look at."""
