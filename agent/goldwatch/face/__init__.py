"""What pages and reports look like: HTML that cannot be broken by what it shows, and charts as SVG.

It imports the standard library alone. A page is one file without scripts, fonts or addresses: for a desktop, a phone,
paper, a mail and a screen reader.
"""
