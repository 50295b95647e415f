"""Embed: how fast texts are embedded or reranked, by batch and length, and whether it is right."""

from __future__ import annotations

from pytest_llamaburn.kinds._kind import SingleKind


class _Embed(SingleKind):
    name = "embed"
    folder = "embeddings"
    settings = "settings.Embed"
    run = "run.EmbedRun"
    help = "measure embeddings or reranking, and check them"
    description = (
        "Measure how many texts a model embeds or reranks in a second, for each batch size and "
        "length of the texts. Check that a text has the same vector each time, alone and in a "
        "batch, and that texts with a like meaning have vectors near each other."
    )
    example = "llamaburn embed nomic-embed-text --batch 1,8,32"
    first = ("batch", "isl", "iterations", "rerank", "budget")
    slower = "longer with large batches of long texts"
    fixture = "llm_to_embed"
    fixture_help = "Return the server and model whose embeddings are measured, warmed up."
    functions = {  # noqa: RUF012
        "llm_embed": (
            "calls.measure",
            """Return a function that embeds texts in the batches of `--llamaburn-batch`.

    It returns the `results` of the result file: `found["cells"]` has the speed of each batch size
    and length, and `found["checks"]` whether the vectors are right.
    """,
        )
    }
    marker_help = "embeds texts: thresholds=['checks_failed<1']"

    def brief(self) -> type:
        """Return the class with which lists read a file's `results`."""
        found: type = self.load("brief.Results")
        return found

    def check(self, settings: object) -> None:
        """Raise SettingsError for batches, lengths or gates that have no meaning."""
        self.load("result.check")(settings)


KIND = _Embed()
