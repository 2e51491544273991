"""The registry: finds adapters by scheme, loads them when first used, and joins what they saw.

Adapters are declared through the entry-point group ``camhub.adapters``; built-ins use the same group as third
parties. An adapter that cannot be loaded is recorded with its error and never stops the others.
"""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import entry_points

from adapters.deadline import Deadline
from adapters.errors import BadTarget, LocalProtocolError
from adapters.port import (
    Adapter,
    AdapterManifest,
    MediaSource,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    StreamOffer,
)
from adapters.secret import Credential
from adapters.target import BUILT_IN, Schemes
from adapters.vendors.banners import recognise
from adapters.vendors.routing import without_address
from adapters.vendors.templates import spoken
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance

GROUP = "camhub.adapters"


@dataclass(slots=True)
class Registry:
    """Manifests by scheme, adapters once loaded, failures by entry-point name."""

    manifests: dict[str, AdapterManifest] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _loaded: dict[str, Adapter] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> "Registry":
        """Read the manifests of all installed adapters (imports nothing heavy)."""
        registry = cls()
        for entry in entry_points(group=GROUP):
            try:
                registry.add(entry.load())
            except Exception as error:  # noqa: BLE001  a third party's broken plug-in is recorded, not fatal
                registry.failures[entry.name] = f"{type(error).__name__}: {error}"
        return registry

    def add(self, manifest: AdapterManifest) -> None:
        """Register a manifest for its schemes.

        Raises:
            ValueError: another adapter already speaks one of them; nothing was registered.
        """
        for scheme in manifest.schemes:
            taken = self.manifests.get(scheme)
            if taken is not None and taken.name != manifest.name:
                raise ValueError(f"{scheme}:// is already spoken by the adapter {taken.name!r}")
        for scheme in manifest.schemes:
            self.manifests[scheme] = manifest

    @property
    def schemes(self) -> Schemes:
        """Return the schemes of all installed adapters for `parse_target`, with `http` and `https` as ONVIF."""
        ports = dict(BUILT_IN.ports)
        aliases = dict(BUILT_IN.aliases)
        for scheme, manifest in self.manifests.items():
            ports[scheme] = manifest.default_ports.get(scheme, BUILT_IN.ports.get(scheme, 80))
            aliases.update(manifest.aliases)
        for scheme in ports:
            aliases.pop(scheme, None)  # a scheme of its own is no spelling of another
        return Schemes(ports, aliases)

    def adapter(self, scheme: str) -> Adapter:
        """Return the adapter of a scheme.

        Raises:
            BadTarget: no adapter speaks this scheme.
            LocalProtocolError: the one that does cannot be loaded.
        """
        manifest = self.manifests.get(scheme)
        if manifest is None:
            known = ", ".join(sorted(self.manifests))
            raise BadTarget(f"no adapter speaks {scheme}://", hint=f"Installed schemes: {known}")
        if manifest.name not in self._loaded:
            try:
                self._loaded[manifest.name] = manifest.load()
            except Exception as error:
                self.failures[manifest.name] = f"{type(error).__name__}: {error}"
                raise LocalProtocolError(
                    f"the adapter {manifest.name!r} for {scheme}:// cannot be loaded",
                    hint=getattr(error, "hint", "") or "Reinstall it; `registry.failures` tells why",
                ) from error
        return self._loaded[manifest.name]

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Probe a device with the adapter of its scheme, then its main stream with the stream's adapter.

        The whole run holds the device's one probe slot. A camera's fault never raises.

        Raises:
            BadTarget, DeviceBusy: nothing was sent.
        """
        async with context.gate.probing(context.device):
            return _with_hint(await self._probed(request, context), request, context)

    async def _probed(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Probe by the target's adapter, then by the stream's."""
        first = await self.adapter(request.target.scheme).probe(request, context)
        if not first.offers and first.failure is None:
            made = self._by_template(first, request, context)
            first = replace(first, offers=made) if made else first
        main = next((offer for offer in first.offers if offer.layer == "main"), None)
        if first.failure is not None or main is None or request.target.scheme == main.target.scheme:
            return first
        if main.target.scheme not in self.manifests:
            return first  # the camera names a scheme that nobody here speaks: its stream stays unseen
        sub = next(
            (
                offer
                for offer in first.offers
                if offer.layer == "sub" and offer.video_source_token == main.video_source_token
            ),
            None,
        )
        told = sub.target if sub is not None and sub.target.scheme == main.target.scheme else None
        follow = replace(request, target=main.target, sub_target=request.sub_target or told)
        keys = frozenset(offer.target.path.strip("/") for offer in first.offers if offer.secret_path) - {""}
        second = await self.adapter(main.target.scheme).probe(follow, _discreet(context, keys))
        # The device answered the first adapter already: its reachability and interfaces are the device's.
        kept = _without_keys(second.observations, keys).without(
            "target.interfaces", "reach.answers", "reach.slowest_s"
        )
        if "snapshot.anonymous" in first.observations:
            kept = kept.without("snapshot.anonymous")
        return ProbeResult(
            observations=first.observations.merged(kept),
            offers=first.offers,
            snapshot=first.snapshot,
            failure=second.failure,
            samples=second.samples,
        )

    def _by_template(
        self, first: ProbeResult, request: ProbeRequest, context: ProbeContext
    ) -> tuple[StreamOffer, ...]:
        """Return the maker's one template as offers, where the device answered and told no stream address (quirk 48)."""
        if request.target.scheme.startswith("rtsp"):
            return ()
        told = first.observations.value("vendor.family") or first.observations.value("device.manufacturer")
        found = without_address(request.target.host, request.vendor, told if isinstance(told, str) else "")
        if found is None or found.template is None:
            return ()
        context.progress(Progress("picture", "running", spoken(found.template, "en")))
        offers = [StreamOffer(found.target, "main")]
        if found.sub is not None:
            offers.append(StreamOffer(found.sub, "sub"))
        return tuple(offers)

    async def open(
        self,
        offer: StreamOffer,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        transport: str = "tcp",
        audio: bool = False,
    ) -> MediaSource:
        """Open a stream with the adapter of its scheme. Raises as that adapter does."""
        adapter = self.adapter(offer.target.scheme)
        return await adapter.open(offer, credential, context, deadline, transport=transport, audio=audio)


def _with_hint(result: ProbeResult, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
    """Add the maker that the RTSP Server header hints at, where nothing better told it. Nothing is sent because of it."""
    server = result.observations.value("rtsp.server")
    if not isinstance(server, str) or result.observations.value("vendor.family") is not None:
        return result
    hint = recognise(server)
    if hint is None or not hint.family:
        return result
    provenance = Provenance(
        Method.EXAMINE,
        "vendors/1",
        "banner",
        request.target.authority,
        context.clock.now(),
        excerpt=server[:96],
    )
    family = Observations({"vendor.family": Observed(hint.family, provenance)})
    return replace(result, observations=result.observations.merged(family))


def _discreet(context: ProbeContext, keys: frozenset[str]) -> ProbeContext:
    """Return the context for a stream whose path is a key: progress does not show it."""
    if not keys:
        return context

    def tell(progress: Progress) -> None:
        context.progress(replace(progress, detail=_masked(progress.detail, keys)))

    return replace(context, progress=tell)


def _without_keys(observations: Observations, keys: frozenset[str]) -> Observations:
    """Return observations in which paths that are keys show as dots: values, details and quoted replies."""
    if not keys:
        return observations
    shown: dict[str, Observation] = {}
    for fact, one in observations.items():
        where = one.provenance
        excerpt = _masked(where.excerpt, keys)
        if excerpt != where.excerpt:
            where = replace(where, excerpt=excerpt, excerpt_sha256=sha256(excerpt.encode()).hexdigest())
        where = replace(where, operation=_masked(where.operation, keys))
        if isinstance(one, NotObserved):
            shown[fact] = replace(one, detail=_masked(one.detail, keys), provenance=where)
        else:
            value = _masked(one.value, keys) if isinstance(one.value, str) else one.value
            shown[fact] = replace(one, value=value, provenance=where)
    return Observations(shown)


def _masked(text: str, keys: frozenset[str]) -> str:
    for key in keys:
        text = text.replace(key, "•••")
    return text
