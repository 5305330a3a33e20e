"""Pictures of the page, taken by a browser of a lab that is made for them: ``make screenshots``."""
