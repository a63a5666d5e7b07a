"""Registrable domains, by which companies are recognised, and the domains that many companies share.

The registrable domain is the part of a host that a registry sells: `acme.co.uk` of `https://shop.acme.co.uk/de`. It is
found with the copy of the Public Suffix List inside tldextract, without network access. Domains are compared as
lower-case ASCII (punycode), so `münchen.de` and `XN--MNCHEN-3YA.de` are the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import idna

if TYPE_CHECKING:
    from tldextract import TLDExtract

Shared = Literal["free mail", "agency", "hub", "social", "site builder", "hosting"]
"""The reason why a domain stands for many companies: their mailboxes, pages or servers lie under it."""

_LISTED: Mapping[Shared, str] = {
    "free mail": """
        10minutemail.com 126.com 163.com aim.com aol.co.uk aol.com aol.de aol.es aol.fr aol.it arcor.de
        att.net bell.net bellsouth.net bigpond.com bigpond.net.au bk.ru bluewin.ch blueyonder.co.uk bol.com.br
        btinternet.com charter.net comcast.net cox.net daum.net duck.com earthlink.net email.com email.cz
        fastmail.com fastmail.fm foxmail.com free.fr freenet.de frontier.com gawab.com gmail.com gmx.at gmx.ca
        gmx.ch gmx.co.uk gmx.com gmx.de gmx.es gmx.eu gmx.fr gmx.it gmx.li gmx.net gmx.org gmx.us
        googlemail.com guerrillamail.com guerrillamail.net hanmail.net hey.com hotmail.at hotmail.be
        hotmail.ca hotmail.ch hotmail.cl hotmail.co.jp hotmail.co.nz hotmail.co.th hotmail.co.uk hotmail.co.za
        hotmail.com hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.hk hotmail.com.mx hotmail.com.tr
        hotmail.com.tw hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr hotmail.hu hotmail.it
        hotmail.jp hotmail.nl hotmail.no hotmail.pt hotmail.se hushmail.com icloud.com ig.com.br inbox.com
        inbox.lv inbox.ru interia.pl juno.com kpnmail.nl laposte.net libero.it list.ru live.at live.be live.ca
        live.cn live.co.uk live.co.za live.com live.com.ar live.com.au live.com.mx live.com.pt live.de live.dk
        live.fr live.hk live.ie live.in live.it live.jp live.nl live.no live.pt live.se lycos.com mac.com
        mail.com mail.de mail.ru mailinator.com me.com msn.com naver.com neuf.fr ntlworld.com o2.pl onet.pl
        op.pl optonline.net optusnet.com.au orange.fr outlook.at outlook.be outlook.cl outlook.co.id
        outlook.co.th outlook.com outlook.com.ar outlook.com.au outlook.com.br outlook.com.tr outlook.cz
        outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie outlook.in outlook.it outlook.jp
        outlook.kr outlook.lv outlook.my outlook.ph outlook.pt outlook.sa outlook.sg outlook.sk planet.nl
        pm.me posteo.de proton.me protonmail.ch protonmail.com qq.com rambler.ru rediffmail.com rocketmail.com
        rogers.com runbox.com sapo.pt sbcglobal.net seznam.cz sfr.fr sharklasers.com shaw.ca sina.cn sina.com
        sky.com skynet.be sohu.com sympatico.ca t-online.de talktalk.net telenet.be telus.net temp-mail.org
        tempmail.com terra.com.br terra.es throwawaymail.com tiscali.co.uk tiscali.it trashmail.com
        trashmail.de tuta.com tuta.io tutanota.com tutanota.de ukr.net uol.com.br usa.net verizon.net
        virgilio.it virgin.net virginmedia.com volny.cz wanadoo.fr web.de windowslive.com wp.pl xtra.co.nz
        yahoo.at yahoo.be yahoo.ca yahoo.ch yahoo.cl yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.kr
        yahoo.co.nz yahoo.co.uk yahoo.co.za yahoo.com yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.cn
        yahoo.com.co yahoo.com.hk yahoo.com.mx yahoo.com.my yahoo.com.pe yahoo.com.ph yahoo.com.sg
        yahoo.com.tr yahoo.com.tw yahoo.com.ve yahoo.com.vn yahoo.cz yahoo.de yahoo.dk yahoo.es yahoo.fi
        yahoo.fr yahoo.gr yahoo.hu yahoo.ie yahoo.in yahoo.it yahoo.nl yahoo.no yahoo.pl yahoo.pt yahoo.ro
        yahoo.se yandex.by yandex.com yandex.com.tr yandex.kz yandex.ru yandex.ua yeah.net ymail.com
        yopmail.com yopmail.fr ziggo.nl zoho.com zohomail.com
    """,
    "agency": """
        bbdo.com ddb.com dentsu.com edelman.com fcb.com grey.com groupm.com havas.com havasgroup.com
        interpublic.com jellyfish.com leoburnett.com mccann.com mediacom.com mindshareworld.com mullenlowe.com
        ogilvy.com omd.com omnicomgroup.com publicis.com publicisgroupe.com razorfish.com saatchi.com tbwa.com
        vml.com vmlyr.com wpp.com wundermanthompson.com
    """,
    "hub": """
        about.me angel.co beacons.ai bio.link bit.ly capterra.com clutch.co crunchbase.com docs.google.com
        eventbrite.com forms.gle g.page g2.com github.com gitlab.com glassdoor.com goo.gl google.site
        indeed.com kickstarter.com linktr.ee lnk.bio maps.google.com meetup.com patreon.com producthunt.com
        sites.google.com t.co tinyurl.com tripadvisor.com trustpilot.com yelp.com
    """,
    "social": """
        bsky.app discord.com discord.gg facebook.com fb.com fb.me flickr.com instagram.com linkedin.com
        medium.com ok.ru pinterest.com quora.com reddit.com snapchat.com substack.com t.me telegram.me
        threads.net tiktok.com tumblr.com twitch.tv twitter.com vimeo.com vk.com wa.me wechat.com weibo.com
        whatsapp.com x.com xing.com youtu.be youtube.com zalo.me
    """,
    "site builder": """
        bigcartel.com blogger.com business.site carrd.co clickfunnels.com godaddysites.com hs-sites.com
        hubspotpagebuilder.com jimdo.com jimdofree.com jimdosite.com kajabi.com leadpages.co mystrikingly.com
        ning.com notion.site one.com shopify.com shoplo.com site123.me squarespace.com strikingly.com tilda.ws
        typepad.com ucoz.com unbouncepages.com webador.com webnode.com webs.com weebly.com wix.com
        wordpress.com yolasite.com zyrosite.com
    """,
    "hosting": """
        000webhostapp.com akamaihd.net amazonaws.com azure.com cloudflare.com digitalocean.com
        googleusercontent.com hostgator.com ovh.net secureserver.net wpengine.com
    """,
}
_SHARED = {domain: why for why, domains in _LISTED.items() for domain in domains.split()}

FREE_MAIL = frozenset(_LISTED["free mail"].split())
"""The registrable domains of free mailboxes, which do not identify a company."""

# Most private suffixes of the list hold the sites of a hosting provider. These hold ordinary registrations.
_REGISTRY_SUFFIXES = """
    ae.org br.com cn.com co.com co.nl co.no com.de com.se de.com eu.com gb.net gr.com hu.net jp.net jpn.com
    mex.com ru.com sa.com se.net uk.com uk.net us.com us.org za.bz za.com
"""
_REGISTRIES = frozenset(_REGISTRY_SUFFIXES.split())
# Reserved for documentation and tests (RFC 2606), and so in no list of suffixes.
_RESERVED = ("example", "test")
_SCHEME = re.compile(r"^(?:mailto:|(?:[a-z][a-z0-9+.-]*:)?//)")
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class InvalidDomain(ValueError):
    """A text names no registrable domain; the message is the constraint that it breaks."""


@dataclass(frozen=True)
class Site:
    """The site that a text names.

    Attributes:
        domain: the registrable domain, lower-case ASCII.
        shared: the reason why the domain stands for many companies and must not match; None for a company's own.
    """

    domain: str
    shared: Shared | None = None


def site(text: str) -> Site:
    """The site that a domain, a URL or an e-mail address names.

    Case, scheme, user, port, path, subdomains such as `www.` and a final dot do not matter.

    >>> site("https://shop.acme.co.uk/de").domain, site("info@gmail.com").shared
    ('acme.co.uk', 'free mail')

    Raises:
        InvalidDomain: the text names no registrable domain.
    """
    host = _host(text)
    parts = _suffixes()(host)
    if parts.suffix in _REGISTRIES and parts.domain:
        return Site(parts.top_domain_under_public_suffix)
    domain = _suffixes()(host, include_psl_private_domains=False).top_domain_under_public_suffix
    if not domain:
        raise InvalidDomain(_constraint(host, parts.suffix))
    return Site(domain, _shared(host) or ("hosting" if parts.is_private else None))


def registrable(text: str) -> str:
    """The registrable domain that `text` names, lower-case ASCII (see `site`).

    Raises:
        InvalidDomain: the text names no registrable domain.
    """
    return site(text).domain


def spellings(domain: str) -> tuple[str, ...]:
    """The ways to write a registrable domain: in ASCII, and in Unicode where that differs.

    >>> spellings("xn--mnchen-3ya.de"), spellings("acme.de")
    (('xn--mnchen-3ya.de', 'münchen.de'), ('acme.de',))
    """
    return tuple(dict.fromkeys((domain, idna.decode(domain) if "xn--" in domain else domain)))


def _shared(host: str) -> Shared | None:
    """The reason why a host is shared, if it or a domain above it is listed, such as sites.google.com."""
    labels = host.split(".")
    parents = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return next((_SHARED[parent] for parent in parents if parent in _SHARED), None)


def _host(text: str) -> str:
    """The host of a domain, URL or e-mail address, lower-case ASCII."""
    rest = _SCHEME.sub("", text.strip().strip("<>\"'").lower())
    rest = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    host = re.sub(r":\d*$", "", rest).removesuffix(".")
    if not host.isascii() or "xn--" in host:
        host = _ascii(host)
    if not _HOST.fullmatch(host):
        raise InvalidDomain("must be one domain such as company.example")
    return host


def _ascii(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise InvalidDomain("must be a domain that IDNA 2008 allows, such as münchen.example") from None


def _constraint(host: str, suffix: str) -> str:
    if not suffix:
        return f"must end in a public suffix such as .com, not in .{host.rpartition('.')[2]}"
    return "must name a domain below a public suffix, not the suffix alone"


@cache
def _suffixes() -> "TLDExtract":
    # tldextract imports an HTTP client, so it is imported only where a domain is parsed.
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True, extra_suffixes=_RESERVED)
