"""The policies: when the overseer prompts the tracker.

`pipeline.policy` says what a policy is asked and answers, `docs/constellation.md` what the rules of
the default one are.
"""
