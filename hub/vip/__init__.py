"""VIP tables from Python: scans of their guests, guest lists, tables sold (domain 2.1, 2.2, 2.5).

The rules are functions of the database (`sql/objects/40` to `42`); here they are typed.
"""
