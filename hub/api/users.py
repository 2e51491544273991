"""People, for administrators."""

from collections.abc import Sequence
from typing import Any

from litestar import Controller, Response, get, patch, post
from litestar.params import FromPath, JSONBody

from adapters.secret import Secret
from hub.access.accounts import NewUser, User
from hub.access.principal import EVERYWHERE, WHOLE_HUB_BY_DEFAULT
from hub.access.rights import USERS_WRITE
from hub.api.schemas import UserCreate, UserPatch
from hub.api.security import Caller, SignedInCaller, needs, signed_in
from hub.api.services import Services, ServiceSet
from hub.problems import Problem
from standards.observation import rfc3339


def person_json(user: User) -> dict[str, Any]:
    """Return a person as administrators see them."""
    return {
        "id": user.id,
        "number": user.number,
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "areas": list(user.areas),
        "custodian_id": user.custodian_id,
        "locale": user.locale,
        "must_change_password": user.must_change_password,
        "disabled": user.disabled,
        "created_at": rfc3339(user.created_at),
    }


async def check_reach(caller: SignedInCaller, services: ServiceSet, areas: Sequence[str], role: str) -> None:
    """Refuse to give rights beyond one's own areas: an administrator of a ward makes no administrator of the hub.

    Raises:
        Problem: ``wrong_area``.
    """
    if caller.principal.everywhere:
        return
    if not areas and role in WHOLE_HUB_BY_DEFAULT:
        raise Problem("wrong_area", field="areas")
    for code in areas:
        found = await services.areas.get(code)
        if code == EVERYWHERE or (found is not None and not caller.principal.in_area(found.path)):
            raise Problem("wrong_area", field="areas")


class UsersController(Controller):
    """People."""

    path = "/users"
    tags = ("people",)
    guards = (signed_in, needs(USERS_WRITE))

    @get("/", summary="List people", operation_id="list_users")
    async def all(self, services: Services) -> dict[str, Any]:
        """Return all people by name."""
        people = await services.accounts.users()
        return {"items": [person_json(user) for user in people], "next": None, "total": len(people)}

    # the reply may hold a one-time password, so it is not kept for repeats: a name is taken only once anyway
    @post("/", opt={"no_idempotency": True}, summary="Add a person", operation_id="add_user")
    async def add(
        self, data: JSONBody[UserCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Add a person; without a password a one-time password is answered, once."""
        await check_reach(caller, services, data.areas, data.role)
        password = Secret(data.password.get_secret_value()) if data.password is not None else None
        user, one_time = await services.accounts.add(
            NewUser(
                name=data.name,
                role=data.role,
                display_name=data.display_name,
                areas=tuple(data.areas),
                custodian_id=data.custodian_id,
                locale=services.settings.locale,
                password=password,
            ),
            caller.principal.actor(),
        )
        shown = one_time.reveal() if one_time is not None else None
        return Response(
            {"user": person_json(user), "one_time_password": shown},
            status_code=201,
            headers={"location": f"/api/v1/users/{user.id}"},
        )

    @patch("/{user_id:str}", summary="Change a person", operation_id="change_user")
    async def change(
        self, user_id: FromPath[str], data: JSONBody[UserPatch], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Change role, areas, name, or disable; running sign-ins and views follow at once."""
        before = await services.accounts.get(user_id)
        await check_reach(caller, services, before.areas, before.role)
        areas = data.areas if data.areas is not None else before.areas
        await check_reach(caller, services, areas, data.role or before.role)
        user = await services.accounts.change(
            user_id,
            caller.principal.actor(),
            role=data.role,
            areas=data.areas,
            disabled=data.disabled,
            display_name=data.display_name,
        )
        await services.coordination.bus.publish("user.changed", {"id": user_id})
        return person_json(user)
