"""The permissions of the built-in plugin."""

from pss_kernel.plugin import Permission

__all__ = ["PERMISSIONS"]

PERMISSIONS = [
    Permission("identity:self", "See who one is and manage the own account", guest=True),
    Permission("identity:audit-read", "See who did what: the audit trail", level="admin"),
    Permission("identity:keys-read", "See API keys and their last use", level="admin"),
    Permission(
        "identity:keys-manage",
        "Make, change, rotate and end API keys",
        level="admin",
        step_up=True,
    ),
    Permission(
        "identity:factors-reset",
        "Take the second factors of a person away who has lost them",
        level="admin",
        step_up=True,
    ),
    Permission(
        "identity:persons-manage",
        "Give people what is kept about them",
        level="admin",
        special=True,
    ),
    Permission(
        "identity:persons-erase",
        "Erase what is kept about people",
        level="admin",
        special=True,
        step_up=True,
    ),
    Permission("identity:accounts-read", "See accounts and their roles", level="admin"),
    Permission(
        "identity:accounts-manage", "Invite, change, disable and unlock accounts", level="admin"
    ),
    Permission(
        "identity:roles-assign", "Give roles to accounts and take them", level="admin", step_up=True
    ),
    Permission(
        "identity:sessions-manage",
        "See where others are signed in, and sign them out",
        level="admin",
    ),
    Permission("identity:roles-read", "See roles, and why somebody may do what", level="admin"),
    Permission(
        "identity:roles-manage",
        "Make, change and delete roles",
        level="super_admin",
        step_up=True,
    ),
]
