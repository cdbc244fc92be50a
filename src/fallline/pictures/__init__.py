"""Pictures: scikit-learn's Display conventions, drawn with matplotlib, which is loaded when something is drawn.

Each class keeps what it shows as attributes; class methods whose names begin with `from_` compute it, and
`plot(ax=None)` draws it and gives the Display back, with its axes in `ax_` and its figure in `figure_`.
"""
