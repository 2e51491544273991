"""Declarations of a camera and the papers behind them; and the forms in which they are made."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CAMERAS_READ, CONSENTS_WRITE, may_declare, may_see_declarations
from hub.api.cameras import visible
from hub.api.days import begins, ends
from hub.api.schemas import DeclarationsCreate
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.types import Camera
from hub.compliance.attachments import MAX_BYTES, attachment
from hub.compliance.declarations import NewDeclaration, StoredDeclaration
from hub.compliance.refused import StatementRefused
from hub.problems import Problem
from hub.store.errors import ServiceError
from standards.declaration import ROLES, forms
from standards.observation import Observed, rfc3339, thaw

_SLACK = 1024  # read past the limit, so that a file that is too large is refused by its own sentence


class DeclarationsController(Controller):
    """What people state about a camera."""

    path = "/"
    tags = ("declarations",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/declaration-forms", summary="What may be declared", operation_id="list_declaration_forms")
    async def forms(self, caller: Caller) -> dict[str, Any]:
        """Return the form of every fact that a hub takes, in reading order; owners see those that are theirs to state."""
        donor = caller.principal.role == "donor"
        items = [
            form.as_json()
            for form in forms().values()
            if not form.kept_by and (not donor or "owner" in form.who)
        ]
        return {"items": items, "next": None, "total": len(items), "roles": list(_roles(caller))}

    @get(
        "/cameras/{camera_id:str}/declarations",
        summary="A camera's declarations",
        operation_id="list_declarations",
    )
    async def of_camera(
        self,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        history: Annotated[bool, QueryParameter()] = False,
    ) -> dict[str, Any]:
        """Return what stands, by fact; with `history` all versions, newest first; and the papers that were sent."""
        camera = await _readable(camera_id, caller, services)
        found = await services.declarations.of(camera.id, history=history)
        papers = await services.declarations.papers(camera.id)
        return {
            "items": [_out(one, caller, services) for one in found],
            "next": None,
            "total": len(found),
            "papers": [one.as_json() for one in papers],
            "may_declare": may_declare(caller.principal, camera),
        }

    @post("/cameras/{camera_id:str}/declarations", summary="Declare facts", operation_id="declare")
    async def declare(
        self,
        camera_id: FromPath[str],
        data: JSONBody[DeclarationsCreate],
        caller: Caller,
        services: Services,
    ) -> Response[dict[str, Any]]:
        """Keep some declarations, all or none, and judge the camera again by them; no packet is sent."""
        camera = await _writable(camera_id, caller, services)
        who = caller.principal
        donor = who.role == "donor"
        new = []
        for index, one in enumerate(data.declarations):
            role = one.role or ("owner" if donor else "")
            if donor and role != "owner":
                field = f"{index}.role" if len(data.declarations) > 1 else "role"
                raise StatementRefused(field, "role_own")
            new.append(
                NewDeclaration(
                    fact=one.fact,
                    value=one.value,
                    author=one.author or (who.display_name or who.name if donor else ""),
                    role=role,
                    declared=begins(one.date),
                    valid_until=ends(one.valid_until),
                    attachment_sha256=one.attachment_sha256,
                )
            )
        made = await services.declarations.declare(camera.id, new, who.actor())
        await services.onboarding.redecide(camera.id, who.actor())
        items = [_out(await services.declarations.get(one), caller, services) for one in made]
        return Response({"items": items, "next": None, "total": len(items)}, status_code=201)

    @post(
        "/declarations/{declaration_id:str}/withdraw",
        status_code=200,
        summary="Withdraw a declaration",
        operation_id="withdraw_declaration",
    )
    async def withdraw(
        self, declaration_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Take a declaration back: it stays on record and counts no more."""
        unknown = Problem("not_found", {"what": {"vi": "lời khai", "en": "declaration"}})
        try:
            found = await services.declarations.get(declaration_id[:64])
            camera = await _writable(found.camera_id, caller, services)
        except (ServiceError, Problem) as error:
            if isinstance(error, Problem) and error.code == "forbidden":
                raise
            raise unknown from error
        ended = await services.declarations.withdraw(found.id, caller.principal.actor())
        await services.onboarding.redecide(camera.id, caller.principal.actor())
        return _out(ended, caller, services)

    @put(
        "/cameras/{camera_id:str}/attachments",
        status_code=201,
        request_max_body_size=MAX_BYTES + _SLACK,
        summary="Send an attachment",
        operation_id="add_attachment",
    )
    async def attach(
        self,
        camera_id: FromPath[str],
        request: Request[Any, Any, Any],
        caller: Caller,
        services: Services,
        name: Annotated[str, QueryParameter(max_length=200)] = "",
    ) -> dict[str, Any]:
        """Keep a PDF, JPEG or PNG of at most 10 MB under its SHA-256; statements name it by that hash."""
        camera = await _writable(camera_id, caller, services)
        paper = attachment(name, await request.body(), request.headers.get("content-type", ""))
        return (await services.declarations.attach(camera.id, paper, caller.principal.actor())).as_json()

    @get(
        "/cameras/{camera_id:str}/attachments/{sha256:str}",
        summary="One attachment",
        operation_id="get_attachment",
    )
    async def paper(
        self, camera_id: FromPath[str], sha256: FromPath[str], caller: Caller, services: Services
    ) -> Response[bytes]:
        """Return the file as it was sent, to be saved; a browser does not open it in place."""
        camera = await _readable(camera_id, caller, services)
        found = await services.declarations.paper(camera.id, sha256)
        ending = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}[found.media_type]
        return Response(
            found.content,
            media_type=found.media_type,
            headers={
                "content-disposition": f'attachment; filename="camhub-{sha256[:12]}.{ending}"',
                "cache-control": "private, max-age=3600",
            },
        )


def _roles(caller: Caller) -> tuple[str, ...]:
    return ("owner",) if caller.principal.role == "donor" else ROLES


async def _readable(camera_id: str, caller: Caller, services: Services) -> Camera:
    camera = await visible(camera_id, caller, services)
    if not may_see_declarations(caller.principal, camera):
        raise Problem("forbidden", {"right": "declarations.read"})
    return camera


async def _writable(camera_id: str, caller: Caller, services: Services) -> Camera:
    camera = await visible(camera_id, caller, services)
    if not may_declare(caller.principal, camera):
        raise Problem("forbidden", {"right": CONSENTS_WRITE})
    return camera


def _out(one: StoredDeclaration, caller: Caller, services: Services) -> dict[str, Any]:
    now = services.clock.now()
    stated = one.stated
    worth = stated.observation(now)
    by = one.recorded_by
    hidden = caller.principal.role == "donor" and by.get("id") != caller.principal.user_id
    return {
        "id": one.id,
        "camera_id": one.camera_id,
        "fact": stated.fact,
        "version": one.version,
        "value": stated.value,
        "worth": thaw(worth.value) if isinstance(worth, Observed) else None,
        "author": stated.author,
        "role": stated.role,
        "declared_at": rfc3339(stated.declared),
        "valid_until": rfc3339(stated.valid_until),
        "attachment_sha256": stated.attachment_sha256 or None,
        "state": one.state(now),
        "recorded_by": None if hidden else by.get("name"),
        "recorded_at": rfc3339(one.recorded_at),
        "ended_at": rfc3339(one.ended_at) if one.ended_at else None,
    }
