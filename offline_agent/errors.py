"""Everything that can go wrong, with one sentence for the person and one exit code for the script.

    AgentError                      1
      UsageError                    2   the command line or the configuration is not understood
      RepositoryError              10   the directory cannot be used as a repository
      IndexUnavailable             20   the index cannot be opened or is held by somebody else
      EmbedderError                30   the embedding model cannot be used
        EmbedderHashMismatch       31   a file of it is not the one that was pinned
      ModelError                   40   the language model cannot be used
        ModelMissing               41   there is no such file
        ModelBroken                42   the file is not a GGUF that llama.cpp can load
        ModelTemplateMissing       43   the file names no chat template
        ModelDied                  44   the process that ran it ended
        PromptTooLong              45   the prompt does not fit the model's context
        ModelTooBig                46   the model does not fit the memory that is free
        EndpointError              47   the server that was to answer does not, or not in a way that can be understood
        ModelMismatch              48   a file is not the one that it should be: its hash or its size differs
      VaultError                   50   the vault cannot be used
        StorageError               21   a file or directory in it cannot be read or written (disk full, read-only, damaged)
        VaultLocked                51   nothing that was given opens it
          WrongPassphrase          52   what was given opens it no more, or never did
        VaultDamaged               53   a byte of it is not what was written
        VaultTooNew                54   a later version of the program wrote it
        VaultInUse                 55   another process has it open
      GuardError                   60   something may not, or cannot, be done here
        Denied                     61   a rule or the person forbids it
        SandboxUnavailable         62   no command can be confined on this machine
        EditError                  63   a file cannot be changed as asked: it is not what was thought
        UndoConflict               64   undoing would overwrite what was changed since
      LimitReached                 65   a task ended without an answer: out of steps, tokens or time, or going in circles
      PullError                    70   a model could not be fetched
        HubRefused                 71   the server does not give it: there is no such file, or it wants a token
      InUse                        72   another process is busy with the same model
      BundleError                  75   a bundle cannot be made or used
        BundleUntrusted            76   its signature is not of the key that was given
        BundleBroken               77   it is cut short, damaged, or no bundle
      Stopped                     130   the person pressed Ctrl-C

Errors of libraries are translated once, where they enter. A message says what to do next.
"""

from typing import ClassVar


class AgentError(Exception):
    exit_code: ClassVar[int] = 1


class UsageError(AgentError):
    exit_code = 2


class RepositoryError(AgentError):
    exit_code = 10


class IndexUnavailable(AgentError):
    exit_code = 20


class EmbedderError(AgentError):
    exit_code = 30


class EmbedderHashMismatch(EmbedderError):
    exit_code = 31


class ModelError(AgentError):
    exit_code = 40


class ModelMissing(ModelError):
    exit_code = 41


class ModelBroken(ModelError):
    exit_code = 42


class ModelTemplateMissing(ModelError):
    exit_code = 43


class ModelDied(ModelError):
    exit_code = 44


class PromptTooLong(ModelError):
    exit_code = 45


class ModelTooBig(ModelError):
    exit_code = 46


class EndpointError(ModelError):
    exit_code = 47


class ModelMismatch(ModelError):
    exit_code = 48


class VaultError(AgentError):
    exit_code = 50


class StorageError(VaultError):
    exit_code = 21


class VaultLocked(VaultError):
    exit_code = 51


class WrongPassphrase(VaultLocked):
    exit_code = 52


class VaultDamaged(VaultError):
    exit_code = 53


class VaultTooNew(VaultError):
    exit_code = 54


class VaultInUse(VaultError):
    exit_code = 55


class GuardError(AgentError):
    exit_code = 60


class Denied(GuardError):
    exit_code = 61


class SandboxUnavailable(GuardError):
    exit_code = 62


class EditError(GuardError):
    exit_code = 63


class UndoConflict(GuardError):
    exit_code = 64


class LimitReached(AgentError):
    exit_code = 65


class PullError(AgentError):
    exit_code = 70


class HubRefused(PullError):
    exit_code = 71


class InUse(AgentError):
    exit_code = 72


class BundleError(AgentError):
    exit_code = 75


class BundleUntrusted(BundleError):
    exit_code = 76


class BundleBroken(BundleError):
    exit_code = 77


class Stopped(AgentError):
    exit_code = 130
