"""The policies, which decide when the overseer prompts the tracker.

`pipeline.policy` says what a policy is asked, and what it answers.
"""
