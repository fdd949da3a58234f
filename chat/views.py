"""The pages of the chat: parse, call `services`, answer. Everything that changes state is a POST; the socket only shows it.

With htmx a view answers the part of the page that changed, by the same partials that the whole page includes; without it the
same forms work and end in a redirect.
"""

from __future__ import annotations

from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.shortcuts import render as render_now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from chat import services
from chat.forms import RenameForm, SendForm
from chat.models import Conversation, Message
from chat.pages import chat_context, mark_of, rail_of, turn_of, turns_context
from chat.picker import list_choices
from llmsite.accounts.authorize import Action
from llmsite.accounts.pages import is_htmx, page, user_of
from llmsite.accounts.refusals import refuse
from llmsite.types.errors import Conflict, InvalidRequest, NotFound

_render = sync_to_async(render_now)
_render_string = sync_to_async(render_to_string)
"""In a thread: a page of a long chat takes longer to render than the loop may be held."""

_SHELL: Final = "shell/base.html"
_FRAGMENT: Final = "shell/fragment.html"


# pages


@page("GET", "HEAD")
async def home(request: HttpRequest) -> HttpResponseBase:
    """A new chat. It is reached through the root, which is everybody's, so it asks for the right itself."""
    refusal = refuse(request, Action.CHAT)
    return refusal or await _chat_page(request, None)


@page("GET", "HEAD")
async def conversation(request: HttpRequest, conversation_id: str) -> HttpResponseBase:
    found = await services.get_conversation(user_of(request), conversation_id)
    if found.is_unseen:
        await services.mark_seen(user_of(request), found.id)
        found.is_unseen = False
    return await _chat_page(request, found)


@page("GET", "HEAD")
async def message(request: HttpRequest, conversation_id: str, message_id: str) -> HttpResponseBase:
    """One message as it is stored and running: an article, or with `?as=text` what was written."""
    found = await services.get_message(user_of(request), message_id)
    if found.conversation_id != conversation_id:
        raise NotFound("there is no such message")
    turn = turn_of(found)
    if request.GET.get("as") == "text":
        content = turn.view.content if turn.view else found.content
        return HttpResponse(content, content_type="text/plain; charset=utf-8")
    if not is_htmx(request):
        return redirect(f"{reverse('chat:conversation', args=[conversation_id])}#m-{message_id}")
    return await _render(request, "chat/_turns.html", {"turns": [turn]})


@page("GET", "HEAD")
async def rail(request: HttpRequest) -> HttpResponseBase:
    """Older chats for the rail; without htmx the whole page with them."""
    found = await rail_of(request)
    if is_htmx(request):
        return await _render(request, "shell/_rail_groups.html", {"rail": found})
    return await _chat_page(request, None, rail=found)


# what people do


@page("POST")
async def send(request: HttpRequest, conversation_id: str) -> HttpResponseBase:
    form = SendForm(request.POST)
    if not form.is_valid():
        return await _refuse_send(request, conversation_id, _first_error(form))
    data = form.cleaned_data
    try:
        result = await services.send(
            user_of(request),
            conversation_id,
            data["text"],
            await _model_of(data["model"]),
            data["parent"],
            data["send_token"],
            think=await _think_of(data["model"], data["think"]),
        )
    except InvalidRequest as error:
        return await _refuse_send(request, conversation_id, str(error))
    except Conflict as error:
        return await _conflict(request, conversation_id, str(error))
    if not is_htmx(request):
        return redirect("chat:conversation", conversation_id)
    if not result.is_new or result.question.parent_id is None:
        return await _whole_main(request, result.conversation)
    return await _new_turns(request, result.conversation, [result.question, result.answer])


@page("POST")
async def stop(request: HttpRequest, message_id: str) -> HttpResponseBase:
    """202: the state changes when the engine has really stopped, which the socket tells."""
    stopped = await services.stop(user_of(request), message_id)
    if not is_htmx(request):
        return redirect("chat:conversation", stopped.conversation_id)
    turn = turn_of(stopped)
    context = {"message": stopped, "view": turn.view, "conversation": stopped.conversation, "oob": "true"}
    return HttpResponse(await _parts(request, ["chat/_status.html", "chat/_composer_actions.html"], context), status=202)


@page("POST")
async def regenerate(request: HttpRequest, message_id: str) -> HttpResponseBase:
    try:
        answer = await services.regenerate(user_of(request), message_id, await _model_of(request.POST.get("model", "")))
    except Conflict as error:
        found = await services.get_message(user_of(request), message_id)
        return await _conflict(request, found.conversation_id, str(error))
    except InvalidRequest as error:
        return HttpResponse(str(error), status=422, content_type="text/plain; charset=utf-8")
    if not is_htmx(request):
        return redirect("chat:conversation", answer.conversation_id)
    return await _all_turns(request, answer.conversation)


@page("POST")
async def rename(request: HttpRequest, conversation_id: str) -> HttpResponseBase:
    found = await services.get_conversation(user_of(request), conversation_id)
    form = RenameForm(request.POST)
    if form.is_valid():
        try:
            found = await services.rename(user_of(request), conversation_id, form.cleaned_data["title"])
        except InvalidRequest as error:
            form.add_error("title", str(error))
    if not is_htmx(request):
        return redirect("chat:conversation", conversation_id)
    if form.errors:
        return await _render(request, "chat/_rename.html", {"conversation": found, "rename_form": form}, status=422)
    context = {"conversation": found, "mark": mark_of(found), "current": True, "oob": "true"}
    return HttpResponse(await _parts(request, ["chat/_renamed.html", "chat/_rail_item.html"], context))


@page("POST")
async def delete(request: HttpRequest, conversation_id: str) -> HttpResponseBase:
    await services.delete(user_of(request), conversation_id)
    return redirect("chat:home")


# answers


async def _chat_page(request: HttpRequest, found: Conversation | None, status: int = 200, **more: Any) -> HttpResponse:
    layout = _FRAGMENT if is_htmx(request) else _SHELL
    context = await chat_context(request, found, layout=layout, **more)
    return await _render(request, "chat/page.html", context, status=status)


async def _whole_main(request: HttpRequest, found: Conversation) -> HttpResponse:
    """For the first message of a chat, and for one that was sent twice: everything in main, with its new address."""
    fresh = await services.get_conversation(user_of(request), found.id)
    context = await chat_context(request, fresh, layout=_FRAGMENT)
    html = await _render_string("chat/page.html", context, request)
    html += await _render_string("chat/_rail_moved.html", _rail_context(fresh), request)
    response = HttpResponse(html)
    response["HX-Retarget"], response["HX-Reswap"] = "#main", "outerHTML"
    response["HX-Push-Url"] = reverse("chat:conversation", args=[found.id])
    return response


async def _new_turns(request: HttpRequest, found: Conversation, messages: list[Message]) -> HttpResponse:
    context = turns_context([turn_of(each) for each in messages])
    html = await _render_string("chat/_turns.html", context, request)
    return HttpResponse(html + await _around(request, found, context))


async def _all_turns(request: HttpRequest, found: Conversation) -> HttpResponse:
    path = await services.visible_path(found)
    context = turns_context([turn_of(each) for each in path])
    html = await _render_string("chat/_messages.html", {**context, "oob": "true"}, request)
    return HttpResponse(html + await _around(request, found, context))


async def _around(request: HttpRequest, found: Conversation, context: dict[str, Any]) -> str:
    """What changes beside the messages: the composer's token and button, the cursor, the rail."""
    parts = ["chat/_composer_tokens.html", "chat/_composer_actions.html", "chat/_cursor.html"]
    html = await _parts(request, parts, {**context, "conversation": found, "chat_id": found.id, "oob": "true"})
    return html + await _render_string("chat/_rail_moved.html", _rail_context(found), request)


def _rail_context(found: Conversation) -> dict[str, Any]:
    return {"conversation": found, "mark": mark_of(found), "current": True}


async def _parts(request: HttpRequest, names: list[str], context: dict[str, Any]) -> str:
    return "".join([await _render_string(name, context, request) for name in names])


async def _refuse_send(request: HttpRequest, conversation_id: str, error: str) -> HttpResponse:
    """422 with the reason beside the box; what was written stays in it."""
    if is_htmx(request):
        response = await _render(request, "chat/_send_error.html", {"send_error": error}, status=422)
        response["HX-Retarget"], response["HX-Reswap"] = "#send-error", "outerHTML"
        return response
    found = await _conversation_or_none(request, conversation_id)
    draft = request.POST.get("text", "")
    return await _chat_page(request, found, 422, send_error=error, draft=draft, chat_id=conversation_id)


async def _conflict(request: HttpRequest, conversation_id: str, why: str) -> HttpResponse:
    """409: the chat went on elsewhere. htmx shows it as a dialog."""
    context = {"why": why, "url": reverse("chat:conversation", args=[conversation_id])}
    if is_htmx(request):
        return await _render(request, "chat/_conflict.html", context, status=409)
    found = await services.get_conversation(user_of(request), conversation_id)
    return await _chat_page(request, found, 409, send_error=why, draft=request.POST.get("text", ""))


async def _conversation_or_none(request: HttpRequest, conversation_id: str) -> Conversation | None:
    try:
        return await services.get_conversation(user_of(request), conversation_id)
    except NotFound:
        return None


async def _model_of(name: str) -> str:
    """The model asked for, else the first there is. Whether it exists is found out when it answers."""
    if name:
        return name
    choices = await list_choices()
    if not choices:
        raise InvalidRequest(_("No model is installed yet."))
    return choices[0].name


async def _think_of(name: str, is_wanted: bool) -> bool | None:
    """Only a model that can think is told whether to."""
    choices = await list_choices()
    can_think = any(each.can_think for each in choices if each.name == name or not name)
    return is_wanted if can_think else None


def _first_error(form: SendForm) -> str:
    return str(next(iter(form.errors.values()))[0])
