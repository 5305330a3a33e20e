-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.server.whole
-- include: workers.scripts.needs
-- include: workers.scripts.lost_run
-- Decides whether an error that left the function of a job is the loss of a service that the job needs: then the run is marked as
-- stopped, in the same step, and the job is held if that is its policy. By the clock: an overdue service counts as lost for a job that
-- is to be held; to stop a job for good, its withdrawal must be recorded.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id           of the job
--         fence        of the run
--         service      that the error is about, or ""
--         incarnation  of it, or ""
--         timed_out    "1" if the service did not answer in time: it may be dead, and nobody knows until it is overdue
--         heard        the ms of its last heartbeat in the first answer, or "" the first time
--         ...          the needs that the error may be about
-- returns "stands": the error is the end of the run; "lost:<need>": the run is marked now; "ended": it was stopped or superseded before;
--         "wait:<ms>:<heard>": ask again, for so long at most
local id, fence, service, incarnation, timed_out, heard = unpack(ARGV, OWN, OWN + 5)
local FIRST_NEED = OWN + 6
local now = now_ms()
local known = redis.call('HMGET', k.job .. id, 'fence', 'on_loss', 'needs', 'grace_ms', 'sealed')
if known[1] ~= fence or known[5] then return 'ended' end
local on_loss, needs = known[2] or 'cancel', needs_of({needs = known[3] or nil}) or {}
if on_loss ~= 'hold' and on_loss ~= 'cancel' then return 'stands' end

-- The ms of the last heartbeat, and the ms at which the service is certainly withdrawn if it sends no other.
local function last_beat()
  local beat = redis.pcall('HMGET', k.service .. service, 'beat_ms', 'ttl_ms')
  return whole(beat[1], 0, 0, now), whole(beat[1], 0, 0, now) + 2 * whole(beat[2], 0, 0, DAY_MS)
end

local function wait()
  local at, limit = last_beat()
  return 'wait:' .. text(math.max(limit - now, 0)) .. ':' .. text(at)
end

local function check(need)
  local state, is_lost = presence(need, now), serial_of(need) > needs[need]
  local its_state, its_incarnation = 'there', incarnation
  if service ~= '' then
    its_state, its_incarnation = presence_of(k.services, k.service .. service, service, now)
  end
  if on_loss == 'hold' then
    local is_another = incarnation ~= '' and its_incarnation ~= incarnation -- another provider may be there, or the next incarnation
    if is_lost or is_another or state ~= 'there' or its_state ~= 'there' then return 'lost:' .. need end
  else
    local grace_ms = whole(known[4], 0, 0, YEAR_MS)
    if is_lost or state == 'gone' then
      local is_over = grace_ms == 0 or (is_lost and state ~= 'there' and now >= serial_of(need) + grace_ms)
      return is_over and 'lost:' .. need or 'stands'
    end
    if grace_ms > 0 then return 'stands' end
    if state == 'overdue' then return wait() end
  end
  if timed_out ~= '1' or its_state ~= 'there' or service == '' then return 'stands' end
  return (heard == '' or heard == text((last_beat()))) and wait() or 'stands' -- one that sends heartbeats is only slow
end

for i = FIRST_NEED, #ARGV do
  local need = ARGV[i]
  if needs[need] then
    local answer = check(need)
    if string.find(answer, '^lost:') then
      mark_lost(id, fence, on_loss, need, now)
    end
    if answer ~= 'stands' then return answer end
  end
end
return 'stands'
