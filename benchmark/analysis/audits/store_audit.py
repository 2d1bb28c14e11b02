"""Both audits of a store's runs: under the published protocol, and on partial labels."""

from benchmark.analysis import comparison
from benchmark.analysis.audits import mask_audit, protocol_audit
from benchmark.analysis.audits.mask_audit import MaskAudit
from benchmark.analysis.audits.protocol_audit import ModelAudit
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels


def audit(
    store: Runs, dataset: str, full: StoredLabels | None = None
) -> tuple[ModelAudit, MaskAudit | None]:
    """Audit a data set's runs, those trained as published among them.

    Parameters
    ----------
    store : Runs
    dataset : str
    full : StoredLabels, optional
        Complete labels of the clips, where those of `dataset` are partial.

    Returns
    -------
    ModelAudit
    MaskAudit or None
        None for a single model, which has no rank, and where labels are known in part only.

    Raises
    ------
    ProtocolError
        If the runs can't be compared.
    """
    result = comparison.compare(store, dataset)
    labels = store.labels(result.division_id)
    try:
        extra = comparison.compare(store, dataset, protocol="published").entries
    except ProtocolError:
        extra = []  # nothing was trained as published
    complete = bool(labels[result.part].y_mask.all())
    models = protocol_audit.audit_models(
        result, store, labels, mask_seed=0 if complete else None, extra=extra
    )
    scored = mask_audit.scored_models(result.entries, store)
    if len(scored) < 2:
        return models, None
    if complete:
        return models, mask_audit.audit_masks(labels[result.part], scored)
    if full is not None:
        return models, mask_audit.audit_given_mask(full, labels[result.part], scored)
    return models, None
