# SPDX-License-Identifier: Apache-2.0
#
# Completion for bash of duress, toxiproxy-cli and toxiproxy-server. Commands and options are read out of --help, so that
# they are those of the program that is installed; proxies are asked of the daemon.

_duress_types='noop latency bandwidth slow_close timeout reset_peer slicer limit_data blackhole corrupt cut packet_loss
    limit_time unplug slow_open refuse fail_first shared_bandwidth latency_normal latency_pareto latency_quantiles'

# _duress_help COMMAND...
_duress_help() { "$@" --help 2>&1 </dev/null; }

# _duress_values OPTION WORD PATH...: completes the option's value; false where it has none that can be told.
_duress_values() {
    local option=${1#-} word=$2
    shift 2
    case ${option#-} in
        world) mapfile -t COMPREPLY < <(compgen -W 'live sim both' -- "$word") ;;
        fail-as) mapfile -t COMPREPLY < <(compgen -W 'error overloaded hang corrupt truncate' -- "$word") ;;
        t | type) mapfile -t COMPREPLY < <(compgen -W "$_duress_types" -- "$word") ;;
        log-format) mapfile -t COMPREPLY < <(compgen -W 'json text' -- "$word") ;;
        folder) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        config | state | token-file | unix | ca-file | junit) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        json) [[ ${2-} == suite ]] && mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        *) return 1 ;;
    esac
}

_duress() {
    local words path word previous='' daemon=()
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=('')
    local last=$((${#words[@]} - 1))
    path=("${words[0]/#\~/$HOME}")
    for word in "${words[@]:1:last-1}"; do
        case $previous in
            --host | --token-file) daemon+=("$previous" "$word") previous='' && continue ;;
        esac
        previous=$word
        case $word in
            --host=* | --token-file=*) daemon+=("$word") ;;
            -*) ;;
            *)
                case ${#path[@]}:${path[1]-} in
                    1: | 2:agent | 2:toxic | 2:t) path+=("$word") ;;
                esac
                ;;
        esac
    done
    word=${words[last]}
    COMPREPLY=()
    case $word in
        -*=*)
            _duress_values "${word%%=*}" "${word#*=}" "${path[@]}"
            return
            ;;
        -*)
            mapfile -t COMPREPLY < <(compgen -W \
                "$(_duress_help "${path[@]}" | grep -oE '^  --?[a-zA-Z][a-zA-Z-]*')" -- "$word")
            return
            ;;
    esac
    [[ $previous == -* ]] && _duress_values "$previous" "$word" "${path[@]}" && return
    case ${path[1]-} in
        service) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
        stress) mapfile -t COMPREPLY < <(compgen -W 'cpu memory disk' -- "$word") ;;
        inspect | i | ins | toggle | tog | delete | d | toxic | t)
            if [[ ${path[1]} == t* && ${path[1]} != tog* && ${#path[@]} -eq 2 ]]; then
                mapfile -t COMPREPLY < <(compgen -W \
                    "$(_duress_help "${path[@]}" | grep -oE '^  [a-z]+ ')" -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -W \
                    "$("${path[0]}" list "${daemon[@]}" 2>/dev/null </dev/null | cut -f1)" -- "$word")
            fi
            ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$(_duress_help "${path[@]}" | grep -oE '^  [a-z]+ ')" -- "$word") ;;
    esac
}

complete -o bashdefault -F _duress duress toxiproxy-cli toxiproxy-server
