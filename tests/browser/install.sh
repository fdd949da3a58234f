#!/usr/bin/env bash
# Chromium for the browser tests: an installed one, or Debian's package when run as root. Otherwise those tests are skipped with a line.
set -euo pipefail
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" > /dev/null && found=1
done
has_chinese() { command -v fc-list > /dev/null && [ -n "$(fc-list :lang=zh family)" ]; }
if [ -n "${found:-}" ] && has_chinese; then exit 0; fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then exit 0; fi
echo "Installing Chromium and Chinese fonts for the browser tests."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fontconfig > /dev/null
