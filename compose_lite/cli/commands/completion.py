"""`completion`: a script for bash, zsh or fish, whose answers come from `compose-lite __complete WORDS...` (cli/completing.py)."""

from __future__ import annotations

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument
from compose_lite.errors import UsageError

COMMAND = Command("completion", "Generate the autocompletion script for bash, zsh or fish", (argument("shell"),))

SCRIPTS = {
    "bash": """\
# bash: source <(compose-lite completion bash)
_compose_lite() {
    # bash breaks words at = and : and wants back what stands behind the last of them
    local words line piece=${COMP_WORDS[COMP_CWORD]} before=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$before"
    if [[ $before == *[[:space:]] ]]; then words+=(""); fi
    if [[ $piece == [=:] ]]; then piece=""; fi
    local kept=${words[-1]%"$piece"} IFS=$'\\n'
    COMPREPLY=()
    for line in $("${words[0]/#\\~\\//$HOME/}" __complete "${words[@]:1}" 2>/dev/null); do
        line=${line%%$'\\t'*}
        COMPREPLY+=("${line#"$kept"}")
    done
    if [ ${#COMPREPLY[@]} -eq 0 ]; then
        compopt -o default
    fi
}
complete -F _compose_lite compose-lite docker-compose
""",
    "zsh": """\
#compdef compose-lite docker-compose
# zsh: source <(compose-lite completion zsh)
_compose_lite() {
    local -a found
    local line
    for line in ${(f)"$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        line=${line//:/\\\\:}
        found+=("${line/$'\\t'/:}")
    done
    if (( ${#found} )); then
        _describe 'compose-lite' found
    else
        _files
    fi
}
compdef _compose_lite compose-lite docker-compose
""",
    "fish": """\
# fish: compose-lite completion fish | source
function __compose_lite
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c compose-lite -c docker-compose -n 'test -n "$(__compose_lite)"' -f
complete -c compose-lite -c docker-compose -a '(__compose_lite)'
""",
}


def run(context: Context, shell: str) -> None:
    if shell not in SCRIPTS:
        raise UsageError("completion-shell", f"there is no completion for {shell!r}", remedy="Say bash, zsh or fish.")
    context.out.write(context.named(SCRIPTS[shell]))
