"""The rules that hold where nobody says otherwise: reading inside the repository is allowed, changing and running is asked about,
everything outside, and every file that holds secrets, is denied.

Commands run without network, without the files that are denied and with the home directory hidden, so a command that only reads is
allowed where it can write nothing either, whatever its arguments.
"""

from collections.abc import Iterator, Mapping

from offline_agent.actions import Decision, Rule
from offline_agent.guard.protected import PROTECTED

SOURCE = "default"

_PERMISSIONS: dict[str, Decision] = {
    "read": "allow",
    "list": "allow",
    "glob": "allow",
    "grep": "allow",
    "edit": "ask",
    "bash": "ask",
    "external_directory": "deny",
    "task": "allow",
    "doom_loop": "ask",
    "todowrite": "allow",
    "question": "allow",
    "webfetch": "deny",
    "websearch": "deny",
}

# Not here, since an option or an operand makes them write or run something: sort -o, uniq, tree -o, file -C, sed, awk, less, env.
_READ_ONLY = (
    *(
        "ls *",
        "pwd",
        "cat *",
        "head *",
        "tail *",
        "wc *",
        "nl *",
        "stat *",
        "du *",
        "cmp *",
        "diff *",
        "grep *",
        "egrep *",
    ),
    *("fgrep *", "rg *", "find *", "basename *", "dirname *", "realpath *", "readlink *", "which *", "cd *", "echo *"),
    *("printf *", "true", "false", "test *", "git status *", "git diff *", "git log *", "git show *", "git blame *"),
    # `git branch NAME` makes one.
    *("git branch", "git branch -a", "git branch -r", "git branch -v", "git branch -vv", "git branch -av"),
    *("git branch --all", "git branch --list", "git branch --show-current", "git ls-files *", "git rev-parse *"),
    *("git --version", "python --version", "python -V", "python3 --version", "python3 -V", "node --version"),
)
_WRITES_AFTER_ALL = (
    *(
        "find * -exec*",
        "find * -ok*",
        "find * -delete*",
        "find * -fprint*",
        "find * -fls*",
    ),  # find -okdir, -fprintf, ...
    # git takes --outp for --output. `--ext-diff` and `--textconv` run what git's configuration names.
    *("git * --ou*", "git * --ext-diff*", "git * --textconv*"),
    # They run a program.
    *("rg * --pre*", "rg --pre*", "rg * --hostname-bin*", "rg --hostname-bin*", "find -exec*", "find -ok*"),
    *("find -delete*", "find -fprint*", "find -fls*"),
)

_SECRETS = (
    *(
        ".env",
        ".env.*",
        "*.env",
        ".envrc",
        "*.pem",
        "*.key",
        "*.p12",
        "*.pfx",
        "*.p8",
        "*.jks",
        "*.keystore",
        "*.kdbx",
        "*.ppk",
    ),
    *(
        "id_rsa*",
        "id_ed25519*",
        "id_ecdsa*",
        "id_dsa*",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".npmrc",
        ".yarnrc.yml",
        ".pypirc",
    ),
    *(
        ".git-credentials",
        ".my.cnf",
        ".htpasswd",
        ".vault-token",
        ".dockercfg",
        ".terraformrc",
        "credentials.tfrc.json",
    ),
    *(
        "credentials.json",
        "client_secret*.json",
        "service-account*.json",
        "service_account*.json",
        "*.tfstate",
        "*.tfstate.*",
    ),
    *("*.tfvars", "*.tfvars.json", "secrets.yml", "secrets.yaml", "secrets.toml", "secrets.json", ".secrets"),
    *(".aws/*", ".ssh/*", ".gnupg/*", ".azure/*", ".config/gcloud/*", ".config/gh/hosts.yml", ".docker/config.json"),
    *(".kube/config", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials"),
    # The address of a remote may hold a token, and nothing in there is needed that `git remote` does not tell.
    *(".git/config", ".git/config.worktree", ".git/credentials", ".git/modules/*/config"),
)
# Made to be shown.
_SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "id_rsa.pub", "id_ed25519.pub", "id_ecdsa.pub")

# What runs by itself later, outside the sandbox: git's hooks, CI, editors' tasks, shells of people who enter the directory.
_RUNS_LATER = (
    *(
        ".github/workflows/*",
        ".github/actions/*",
        ".gitlab-ci.yml",
        ".circleci/*",
        ".travis.yml",
        "azure-pipelines.yml",
    ),
    *(
        "Jenkinsfile",
        ".vscode/*",
        ".idea/*",
        ".devcontainer/*",
        ".gitmodules",
        ".gitattributes",
        ".pre-commit-config.yaml",
    ),
    *(".husky/*", ".githooks/*"),
    # Whatever commands may not change either, see protected.py, may not be changed without a question by a tool.
    *(name for place in PROTECTED for name in (place, f"{place}/*")),
)
# The rules of this repository, and what git believes.
_RULES_THEMSELVES = (".git", ".git/*", ".offline-agent", ".offline-agent/*", "opencode.json", "opencode.jsonc")


def _rules(permission: str, patterns: tuple[str, ...], decision: Decision, source: str) -> Iterator[Rule]:
    for pattern in patterns:
        yield Rule(permission=permission, pattern=pattern, decision=decision, source=source)


def _at_any_depth(permission: str, names: tuple[str, ...], decision: Decision, source: str) -> Iterator[Rule]:
    for name in names:  # a star in front is any depth
        yield from _rules(permission, (name,) if name.startswith("*") else (name, f"*/{name}"), decision, source)


DEFAULTS: tuple[Rule, ...] = (
    *(Rule(permission=name, decision=decision, source=SOURCE) for name, decision in _PERMISSIONS.items()),
    *_rules("bash", _READ_ONLY, "allow", f"{SOURCE}: it only reads"),
    *_rules("bash", _WRITES_AFTER_ALL, "ask", f"{SOURCE}: it may write, or run something"),
)

GUARDED: tuple[Rule, ...] = (
    *_at_any_depth("read", _SECRETS, "deny", f"{SOURCE}: files that hold secrets"),
    *_at_any_depth("read", _SAMPLES, "allow", f"{SOURCE}: samples hold no secrets"),
    *_at_any_depth("edit", _RUNS_LATER, "ask", f"{SOURCE}: what is in it runs outside the sandbox"),
    *_at_any_depth("edit", _RULES_THEMSELVES, "ask", f"{SOURCE}: what is in it sets rules"),
    *_at_any_depth(
        "edit", (".git/hooks/*", ".git/modules/*/hooks/*"), "deny", f"{SOURCE}: what is in it runs outside the sandbox"
    ),
)


def _reads_only(agent: str, also: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    source = f"the agent {agent} only reads"
    return (
        *(Rule(permission=name, decision="deny", source=source) for name in ("edit", "bash", *also)),
        *_rules("bash", _READ_ONLY, "allow", source),
        *_rules("bash", _WRITES_AFTER_ALL, "deny", source),
    )


BY_NATURE: Mapping[str, tuple[Rule, ...]] = {
    "plan": _reads_only("plan"),
    "explore": _reads_only("explore", ("task", "question")),
}
"""What an agent is by nature; no rule makes it more."""
