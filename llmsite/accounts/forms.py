"""Forms of signing in and of making an account."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.utils.translation import gettext_lazy as _

from llmsite.accounts.models import User


class SignInForm(forms.Form):
    """Who and with which password; the view decides whether they fit. Neither field is named when they do not."""

    username = forms.CharField(max_length=254)
    password = forms.CharField(max_length=1024, strip=False, widget=forms.PasswordInput)
    stay = forms.BooleanField(label=_("Stay signed in"), required=False, initial=True)


class AccountForm(BaseUserCreationForm):  # type: ignore[type-arg]
    """A new account, by the setup page or the command line."""

    class Meta:
        model = User
        fields = ("username", "email")
        labels: ClassVar = {"username": _("Username"), "email": _("E-mail")}
        widgets: ClassVar = {
            "username": forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for each in self.visible_fields():
            each.field.widget.attrs.setdefault("class", "input")
            each.field.help_text = ""
        self.fields["password1"].help_text = _("At least 8 characters, and not one that everybody uses.")

    def clean_username(self) -> str:
        """Names differ by more than case, and cannot pass for an e-mail address: either signs in."""
        name: str = self.cleaned_data["username"]
        if "@" in name:
            raise forms.ValidationError(_("A name has no @; there is a field for the e-mail address."), code="invalid")
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("This name is taken."), code="unique")
        return name

    def clean_email(self) -> str:
        """Addresses are compared without case."""
        email: str = self.cleaned_data["email"].lower()
        if email and User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError(_("This address belongs to another account."), code="unique")
        return email

    def make(self, *, is_admin: bool) -> User:
        """Save the account of a valid form."""
        user: User = self.save(commit=False)
        user.is_superuser = user.is_staff = is_admin
        user.save()
        return user

    def error_lines(self) -> list[str]:
        """The errors as plain sentences, for a terminal."""
        found: dict[str, list[dict[str, Any]]] = self.errors.get_json_data()
        return [f"{name}: {each['message']}" for name, errors in found.items() for each in errors]


class SetupForm(AccountForm):
    """The first administrator, with the token of the owner link."""

    t = forms.CharField(widget=forms.HiddenInput)
