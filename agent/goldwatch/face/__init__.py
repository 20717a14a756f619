"""The look of pages and reports: HTML that no shown value can break, and charts as SVG.

It imports the standard library alone. A page is one file without scripts, fonts or addresses: for a desktop, a phone,
paper, a mail and a screen reader.
"""
