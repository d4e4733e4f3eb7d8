#!/bin/sh
# Check the seal of an audit report without fedaudit: POSIX sh, openssl 3, jq.
#
#   sh verify.sh BUNDLE KEY.pub [N]
#
# BUNDLE  the folder that holds report.dsse.json
# KEY     the signer's public key, from the signer and not from the bundle
# N       which signature is theirs, counted from 0 (default 0)
#
# Exit 0: the signature is theirs, and every file in evidence/ is what they signed. Exit 4: it is not.
# You still have to compare the digests of the subjects, printed at the end, with those of your own model.
set -eu
refuse() { echo "refused: $1" >&2; exit 4; }
[ $# -ge 2 ] || { echo "usage: sh verify.sh BUNDLE KEY.pub [N]" >&2; exit 2; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
envelope=$1/report.dsse.json

# 1. The bytes that were signed: DSSEv1 SP len(type) SP type SP len(body) SP body (secure-systems-lab/dsse: protocol.md).
type=$(jq -r .payloadType "$envelope") || refuse "no envelope"
[ "$type" = application/vnd.in-toto+json ] || refuse "the payload type is $type"
jq -r .payload "$envelope" | tr -- '-_' '+/' | base64 -d >"$work/body" || refuse "the payload is not base64"
size=$(wc -c <"$work/body" | tr -d ' ')
{ printf 'DSSEv1 %s %s %s ' "${#type}" "$type" "$size"; cat "$work/body"; } >"$work/pae"

# 2. The signature over them.
jq -r --argjson n "${3:-0}" '.signatures[$n].sig' "$envelope" | tr -- '-_' '+/' | base64 -d >"$work/signature" ||
  refuse "no signature ${3:-0}"
openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$work/pae" -sigfile "$work/signature" || refuse "signature"

# 3. Every listed file is what was signed; one that is absent must be confidential or restricted.
jq -r '.predicate.evidence[] | "\(.sha256) \(.confidentiality) \(.path)"' "$work/body" >"$work/listed" ||
  refuse "the payload is no report"
while read -r digest confidentiality path; do
  file=$1/evidence/$path
  if [ ! -e "$file" ] && [ ! -L "$file" ]; then
    case $confidentiality in
      confidential | restricted) echo "withheld: $path" ;;
      *) refuse "missing: $path" ;;
    esac
    continue
  fi
  [ -f "$file" ] && [ ! -L "$file" ] || refuse "not a plain file: $path"
  found=$(openssl dgst -sha256 -r "$file" | cut -d ' ' -f 1)
  [ "$found" = "$digest" ] || refuse "altered: $path"
done <"$work/listed"

# 4. Nothing lies there that nobody signed.
if [ -e "$1/evidence" ]; then
  (cd "$1/evidence" && find . ! -type d) | sed 's|^\./||' | sort >"$work/found"
  cut -d ' ' -f 3 "$work/listed" | sort >"$work/expected"
  unlisted=$(comm -23 "$work/found" "$work/expected")
  [ -z "$unlisted" ] || refuse "not signed: $unlisted"
fi

jq -r '"report \(.predicate.system.name) \(.predicate.system.version), finished \(.predicate.provenance.finished)"' "$work/body"
jq -r '.subject[] | "subject \(.digest.sha256)  \(.name)"' "$work/body"
