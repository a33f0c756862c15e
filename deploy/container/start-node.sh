#!/bin/sh
# Starts the node of a StatefulSet's pod: its id and its names come from the pod's ordinal, all else from /etc/ottla/server.properties.
#   CLUSTER_ID            the same on all nodes: "ottla storage random-uuid"
#   INITIAL_CONTROLLERS   id@host:port:directory,... the first voters; nodes that are not among them join what is there. For the first start of the
#                         cluster alone: take it away when all serve. A pod that has lost its volume would be formatted as the voter that it
#                         was, and have forgotten whom it voted for; without, it comes back as a new controller, to be added as one
#   HOST_SUFFIX           what follows the pod's name in DNS: ".ottla.default.svc.cluster.local"
set -eu

pod=$(hostname)
ordinal=${pod##*-}
host=$pod$HOST_SUFFIX
settings=/var/lib/ottla/server.properties

{
  cat /etc/ottla/server.properties
  echo "node.id=$ordinal"
  echo "advertised.listeners=PLAINTEXT://$host:9092,CONTROLLER://$host:9093"
} > "$settings"

case ",${INITIAL_CONTROLLERS:-}" in
  *",$ordinal@"*) voters="--initial-controllers $INITIAL_CONTROLLERS" ;;
  *) voters="--no-initial-controllers" ;;
esac
# shellcheck disable=SC2086 # two words
ottla storage format --config "$settings" --cluster-id "$CLUSTER_ID" --ignore-formatted $voters

exec ottla start --config "$settings"
