"""The colours of everything, by name. A second scheme is another file with these names.

Those of deficits and lines are Okabe and Ito's colour-blind-safe set, and for more of them Tol's
muted set. Greys are for what has no deficit, such as controls.
"""

# Okabe and Ito's
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PINK = "#CC79A7"
SKY = "#56B4E9"
VERMILION = "#D55E00"

# Further ones, which no grey resembles
INDIGO = "#7722DD"
BROWN = "#885533"
VIOLET = "#6655BB"
RED = "#CC0033"

# A student's own deficits take these in turn: Tol's, without those above
OWN = ("#CC6677", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77")

# Greys, from dark to pale
BLACK = "#000000"
INK = "#222222"  # of texts and lines
PLAIN = "#555555"  # of what has no colour of its own
CLEAR = "#666666"  # of runs without a deficit
GREY = "#767676"  # its contrast is 4.5 to white and 4.6 to black
FAINT = "#888888"
TWIN = "#949494"
WHITE = "#FFFFFF"

LIVE = VERMILION  # of what is trained now

# Of pages. White words are legible on the first two
MAIN = "#0B62A4"  # of the button that a screen is about
SECOND = "#B8400E"  # of the second window on the line of life
TRUTH = VERMILION  # of an answer, beside what was predicted
WRONG = "#CC0000"
