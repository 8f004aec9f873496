"""The annotation set on disk: Parquet parts under a manifest."""

from pipeline.annotation_set.reader import SUFFIX, AnnotationSet

__all__ = ["SUFFIX", "AnnotationSet"]
