"""The errors that reach a user, each one sentence: what is wrong, where, and what to do."""


class ScopelineError(Exception):
    """Something that a user can put right; the message is one sentence with a remedy."""


class InputError(ScopelineError):
    """A file or folder that was given is missing, damaged or of the wrong kind."""


class OutputError(ScopelineError):
    """The result cannot be written, or what is there must not be overwritten."""


class ModelError(ScopelineError):
    """A model is unknown, or its weights do not fit."""


class UsageError(ScopelineError):
    """The command was called with arguments that do not fit together."""


class AnnotationAbandonedError(ScopelineError):
    """A set is left as it is, for this process or another one to go on with."""


class AnnotationStoppedError(AnnotationAbandonedError):
    """An annotation was asked to stop, and did so after a commit."""


class UnreachableError(ScopelineError):
    """A store or a server does not answer now; it may later."""


class SetTakenError(OutputError):
    """Another process writes the set now; it may be free later."""


class SetOfAnotherJobError(OutputError):
    """In the place of a set is one of another job, which no further try will change."""
