"""The report: a fit, a run or a model as one HTML file to look at."""

from fallline.report.contents import report_of_fit, report_of_model, report_of_run, write
from fallline.report.notebook import html_of_model, html_of_run
from fallline.report.page import Page

__all__ = ["Page", "html_of_model", "html_of_run", "report_of_fit", "report_of_model", "report_of_run", "write"]
