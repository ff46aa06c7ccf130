"""How one weight is stored: plain, as a palette, or as scaled integers.

:mod:`~sdtui.convert.encoding.encodings` turns a weight into the constants of one MIL operation,
:mod:`~sdtui.convert.encoding.decoding` turns those back into the weight that a network will see.
"""
