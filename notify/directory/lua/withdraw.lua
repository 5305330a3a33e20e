-- include: notify.server.now
-- include: notify.server.whole
-- include: notify.server.lifetimes
-- include: notify.directory.deadline
-- include: notify.directory.promotion
-- Takes one incarnation of a service out of the directory and announces that: once, however many processes call this. In the same step
-- a standby gets the name, if one waits for it.
-- KEYS    services      ns:services
--         due           ns:due
--         losses        ns:losses
--         suspects      ns:suspects
--         incarnations  ns:incarnation
--         standbys      ns:standby:<name>
--         sweep         ns:sweep
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
--         ...           of the service, see leaver_from(); then, if a standby is to have the name, of the standby, and
--                       ns:requests:<member> and ns:promoted:<member> of the standby
-- ARGV    only_if_due   "1" for the sweep: withdraw the service only if its deadline has passed
--         waiting       the members of ns:standby:<name> as they were read, with spaces between
--         channel, topic  of the directory
--         available     body of the announcement there that a standby has the name
--         length, log_ms, head_ms  limits
--         ...           of the service, then of the standby, see leaver_from()
-- returns the id of the status event; false if this incarnation is not registered any more, or not due; 0 if what was read has changed
local services, due, losses, suspects, incarnations, standbys, sweep, log, head, topics = unpack(KEYS, 1, 10)
local only_if_due, waiting, channel, topic, available, length, log_ms, head_ms = unpack(ARGV, 1, 8)
local FIRST_KEY, FIRST_ARGUMENT = 11, 9
local LONGEST_QUEUE = 10 -- standbys of one name that are looked at
local leaver, next_key, next_argument = leaver_from(FIRST_KEY, FIRST_ARGUMENT)
local now = now_ms()
local score = redis.call('ZSCORE', due, leaver.member)
if not score then return false end
local is_early = whole(score, 0, 0, now + DAY_MS) > now
local key = leaver.service
local known = redis.pcall('HMGET', key, 'incarnation', 'beat_ms', 'ttl_ms')
local described = known[1] == leaver.incarnation
if described and not is_unchanged(leaver) then
  return 0
end
if only_if_due == '1' then
  local ttl_ms, beat_ms = whole(known[3], 0, 0, DAY_MS), whole(known[2], 0)
  local is_ahead = beat_ms > now + ttl_ms -- the clock was set back, and the next sweep gives the service a new deadline
  if is_early and (is_ahead or not described) then return false end
  local heard = math.max(is_ahead and 0 or beat_ms, since(sweep, 'grace_ms'), since(sweep, 'held_ms'))
  if described and heard + ttl_ms > now then
    if not is_early then redis.call('ZADD', due, text(heard + ttl_ms), leaver.member) end
    return false
  end
end
local standby = next_key <= #KEYS and leaver_from(next_key, next_argument)
local has_successor = not described and whole(known[1])
if not has_successor then
  local listed = redis.pcall('ZRANGE', standbys, 0, LONGEST_QUEUE - 1)
  if table.concat(listed, ' ') ~= waiting or (standby and not is_unchanged(standby)) then
    return 0
  end
end
local keys = {services = services, due = due, losses = losses, suspects = suspects, incarnations = incarnations}
keys.directory = {log = log, head = head, topics = topics}
local event = {channel = channel, topic = topic, limits = limits_from(length, log_ms, head_ms)}
local id = withdraw_service(leaver, keys, event, now)
if standby and not has_successor then
  local requests, promoted = unpack(KEYS, #KEYS - 1)
  local bare = {name = leaver.name, service = leaver.service}
  promote(standby, {requests = requests, promoted = promoted}, bare, keys, event, available, now)
end
return id
