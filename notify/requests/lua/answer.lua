-- include: notify.history.count
-- include: notify.history.edges
-- Sends an answer to a caller, and counts the request.
-- KEYS    answers  ns:answers:<caller>
-- ARGV    answer       as JSON
--         kept_ms      for how long the answer is kept
--         max_waiting  how many answers may wait at most
--         counted      "answered" or "failed"; "" if the same answer may have been sent before
--         service, method  as words, see parts/count.lua
--         seconds      from the start of the method to its end
-- returns the id of the entry
local answers = KEYS[1]
local answer, kept_ms, max_waiting, counted, service, method, seconds = unpack(ARGV)
local id = redis.call('XADD', answers, 'MAXLEN', '~', max_waiting, '*', 'answer', answer)
if redis.call('PTTL', answers) < tonumber(kept_ms) then
  redis.call('PEXPIRE', answers, kept_ms)
end
if counted ~= '' then
  local names = service .. ' ' .. method
  count_up('request ' .. counted .. ' ' .. names .. ' took<=' .. edge_of(tonumber(seconds)), 1)
  count_up('request took_us ' .. names, math.max(1, math.floor(seconds * 1000000)))
end
return id
