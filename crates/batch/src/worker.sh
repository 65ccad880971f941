# The worker: all that a machine of a batch job does. POSIX sh; curl when the store is remote.
# Above this line stand ROSTER, COMMAND, COUNT, LIMIT, POLL, POLL_MAX, upload() and own_id().
# Files: roster (who reads which inbox), inbox (what to do, rewritten when there is news), status
# (the last thing that is written of a task: what is not there did not happen).
set -u
case $ROSTER in http*) command -v curl >/dev/null || { echo 'skyfleet: curl is missing' >&2; exit 127; } ;; esac
work=$PWD
[ "$work" != / ] || work=/var/tmp
work=$work/skyfleet-work.$$
(umask 077 && mkdir "$work") || exit 1
child=

# A process and all its descendants. Without ps, the process alone.
tree() {
  echo "$1"
  ps -A -o pid= -o ppid= 2>/dev/null | while read -r pid parent; do
    [ "$parent" != "$1" ] || tree "$pid"
  done
}

# The machine is going: end the command, say nothing.
leave() {
  trap '' TERM INT HUP
  # shellcheck disable=SC2046
  [ -z "$child" ] || kill -TERM $(tree "$child") 2>/dev/null
  rm -rf "$work"
  exit 0
}
trap leave TERM INT HUP

# In the background, because a signal waits for a command in the foreground.
pause() {
  sleep "$1" &
  wait $!
}

nap=$POLL
doze() {
  pause "$nap"
  [ "$POLL" = "$POLL_MAX" ] || nap=$((nap * 2 < POLL_MAX ? nap * 2 : POLL_MAX))
}

again() {
  for seconds in 1 2 4 8; do
    "$@" && return 0
    pause $seconds
  done
  "$@"
}

get() {
  case $1 in
  http://* | https://*) curl -fsSg --connect-timeout 20 -o "$2" "$1" ;;
  *) cp "$1" "$2" ;;
  esac
}

put() {
  case $2 in
  http://* | https://*) upload "$1" "$2" ;;
  *) mkdir -p "${2%/*}" && cp "$1" "$2.part" && mv "$2.part" "$2" ;;
  esac
}

millis() {
  now=$(date +%s%3N)
  case $now in *[!0-9]*) now=$(date +%s)000 ;; esac
  echo "$now"
}

# Ends a command that runs longer than LIMIT: first kindly, then not.
watch() {
  left=$LIMIT
  while [ "$left" -gt 0 ]; do
    sleep 1
    left=$((left - 1))
    kill -0 "$1" 2>/dev/null || exit 0
  done
  : >"$task/late"
  all=$(tree "$1")
  # shellcheck disable=SC2086
  kill -TERM $all 2>/dev/null
  for left in 5 4 3 2 1; do
    sleep 1
    alive=
    for pid in $all; do kill -0 "$pid" 2>/dev/null && alive=1; done
    [ -n "$alive" ] || exit 0
  done
  # shellcheck disable=SC2086
  kill -KILL $all 2>/dev/null
}

run() {
  task=$work/task
  rm -rf "$task"
  mkdir -p "$task/in" "$task/run"
  : >"$task/stdout"
  : >"$task/stderr"
  code=- trouble=none has_output=0 file=$input
  case $input in
  '') ;;
  http://* | https://*)
    file=$task/in/${name##*/}
    again get "$input" "$file" || trouble=input
    ;;
  *) [ -r "$file" ] || trouble=input ;;
  esac
  began=$(millis)
  if [ $trouble = none ]; then
    (
      cd "$task/run" || exit 126
      export SKYFLEET_TASK_INDEX="$index" SKYFLEET_TASK_COUNT="$COUNT" SKYFLEET_TASK_ATTEMPT="$attempt"
      [ -z "$slot" ] || export SKYFLEET_SLOT="$slot"
      export SKYFLEET_INPUT="$file" SKYFLEET_INPUT_NAME="$name" SKYFLEET_OUTPUT="$task/output"
      exec sh -c "$COMMAND"
    ) >"$task/stdout" 2>"$task/stderr" </dev/null 3<&- &
    child=$!
    watcher=
    if [ "$LIMIT" -gt 0 ]; then
      watch "$child" 3<&- &
      watcher=$!
    fi
    wait "$child"
    code=$?
    child=
    if [ -e "$task/late" ]; then
      wait "$watcher"
      trouble=timeout code=-
    elif [ -n "$watcher" ]; then
      kill "$watcher" 2>/dev/null
    fi
    # A machine that goes down kills the command first, and us a moment later: wait for it.
    [ "$code" = - ] || [ "$code" -le 128 ] || pause 1
  fi
  took=$(($(millis) - began))
  [ "$took" -ge 0 ] || took=0
  [ ! -f "$task/output" ] || has_output=1
  again put "$task/stdout" "$stdout" && again put "$task/stderr" "$stderr" &&
    { [ $has_output = 0 ] || again put "$task/output" "$output"; } || trouble=upload
  printf 'exit %s\nmillis %s\ntrouble %s\noutput %s\nend\n' "$code" "$took" $trouble $has_output >"$task/status"
  nap=$POLL
  until put "$task/status" "$status"; do doze; done
  rm -rf "$task"
}

cd "$work" || exit 1
id=$(own_id)
until [ -n "$id" ]; do
  pause 1
  id=$(own_id)
done

inbox= hello= mine= slot=
until [ -n "$inbox" ] && [ -n "$hello" ]; do
  inbox= hello= mine= slot=
  if get "$ROSTER" roster 2>/dev/null && [ "$(tail -n 1 roster)" = end ]; then
    while IFS= read -r line; do
      case $line in
      "instance $id") mine=1 ;;
      'instance '*) mine= ;;
      'slot '*) [ -z "$mine" ] || slot=${line#slot } ;;
      'inbox '*) [ -z "$mine" ] || inbox=${line#inbox } ;;
      'hello '*) [ -z "$mine" ] || hello=${line#hello } ;;
      esac
    done <roster
  fi
  [ -n "$hello" ] || doze
done
echo "$id" >hello
nap=$POLL
until put hello "$hello"; do doze; done

last=0 nap=$POLL
while :; do
  fresh=
  if get "$inbox" message 2>/dev/null && [ "$(tail -n 1 message)" = end ]; then
    while IFS= read -r line <&3; do
      value=${line#* }
      case $line in
      'task '*)
        # shellcheck disable=SC2086
        set -- $value
        serial=$1 index=$2 attempt=$3 name= input=
        ;;
      'name '*) name=$value ;;
      'input '*) input=$value ;;
      'stdout '*) stdout=$value ;;
      'stderr '*) stderr=$value ;;
      'output '*) output=$value ;;
      'status '*) status=$value ;;
      run)
        if [ "$serial" -gt "$last" ]; then
          run
          last=$serial fresh=1 nap=$POLL
        fi
        ;;
      stop) leave ;;
      esac
    done 3<message
  fi
  [ -n "$fresh" ] || doze
done
