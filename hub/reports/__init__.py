"""Reports: one assessment, told as JSON, as text for a terminal, or as one HTML file that prints.

`document` makes the JSON form, which is whole: the other forms are made from it alone, so a stored report reads years
later as it did on its day, whatever became of the rules.
"""
