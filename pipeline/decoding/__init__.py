"""What decodes video files; `pipeline.frames` is what others use."""
