-- include: notify.history.note
-- include: notify.history.edges
-- include: notify.server.whole
-- Counts jobs by their queue and function. What is counted for each of many jobs is collected first, in a table that is quick to find.
--
-- function_of(data, description) -> the path of the function; "(unknown)" if neither tells. RQ writes a pickled call and, unless it is
--   given another text, a description that begins with the path
-- names_of_job(queue, path) -> the two as words
-- note_job(what, queue, path, n): counts n jobs, or one
-- note_start(queue, fields, now, is_only): counts the start of a run, and how long the job has waited
--   fields   of rq:job:<id>: data, description, turn and enqueued_at
--   is_only  whether no others are started in this call: then nothing is collected
-- count_start(names, waited_s): counts the start of the only run that is started in this call
-- note_work(what, queue, path, seconds, is_only): counts the end of a run, and how long it took; nil if nobody knows. Only one that
--   finished can be the only one
-- note_seconds(what, label, queue, path, seconds): counts a job by its seconds; seconds_of(at) -> a time as RQ writes it as seconds, or nil
-- count_seconds(what, label, names, edge, n, us): counts n jobs of one bucket, and microseconds, at once
-- note_loss(on_loss, need): counts a job that has lost a need, by its policy
-- write_history(): writes the counts. close_topics() calls it
local timed, is_timed = {}, false
local last_queue, last_path, last_names
local ended_names, ended_edge -- of the only end of this call, which is counted together with the start of a job of the same function
local MOST_LEFT_OUT_US = 1000 -- of the wait of one job: a job that is taken at once adds nothing to the sum

local function function_of(data, description)
  return string.match(data or '', '^%["([^"\\]+)"') or string.match(description or '', '^([^%s(]+)%(') or '(unknown)'
end

local function names_of_job(queue, path)
  if queue ~= last_queue or path ~= last_path then
    last_queue, last_path, last_names = queue, path, word(queue) .. ' ' .. word(path)
  end
  return last_names
end

local function note_job(what, queue, path, n)
  note('job ' .. what .. ' ' .. names_of_job(queue, path), n or 1)
end

local function count_seconds(what, label, names, edge, n, us)
  count_up('job ' .. what .. ' ' .. names .. ' ' .. label .. '<=' .. edge, n)
  if us >= 1 then
    count_up('job ' .. label .. '_us ' .. names, math.floor(us))
  end
end

local function note_seconds(what, label, queue, path, seconds)
  local key = what .. queue .. ' ' .. path
  local row = timed[key]
  if not row then
    row = {what = what, label = label, names = names_of_job(queue, path), us = 0, edges = {}}
    timed[key], is_timed = row, true
  end
  local edge = edge_of(seconds)
  row.edges[edge] = (row.edges[edge] or 0) + 1
  row.us = row.us + seconds * 1000000
end

-- The seconds since 1970 of a time as RQ writes it, or nil.
local function seconds_of(at)
  local year, month, day, hour, minute, second = string.match(at or '', '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)')
  if not year then return nil end
  local y = month + 0 > 2 and year + 0 or year - 1
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 719469
  return days * 86400 + hour * 3600 + minute * 60 + second
end

local function count_start(names, waited_s)
  local us = waited_s * 1000000
  if us >= MOST_LEFT_OUT_US then
    count_up('job wait_us ' .. names, math.floor(us))
  end
  if ended_names == names then
    count_up('job finished+started ' .. names .. ' work<=' .. ended_edge .. ' wait<=' .. edge_of(waited_s), 1)
    ended_names = nil
  else
    count_seconds('started', 'wait', names, edge_of(waited_s), 1, 0)
  end
end

local function note_start(queue, fields, now, is_only)
  if not HISTORY_MINUTE then return end
  local path, turn = function_of(fields.data, fields.description), tonumber(fields.turn)
  local since_s = turn and math.abs(turn) < LARGEST and math.abs(turn) / 1000000 or seconds_of(fields.enqueued_at)
  local waited_s = since_s and math.max(0, now / 1000 - since_s)
  if not waited_s then
    note_job('started', queue, path)
  elseif is_only then
    count_start(names_of_job(queue, path), waited_s)
  else
    note_seconds('started', 'wait', queue, path, waited_s)
  end
end

local function note_work(what, queue, path, seconds, is_only)
  if not HISTORY_MINUTE then return end
  if not seconds then
    note_job(what, queue, path)
  elseif is_only then
    ended_names, ended_edge = names_of_job(queue, path), edge_of(seconds)
    local us = math.floor(seconds * 1000000)
    if us > 0 then
      count_up('job work_us ' .. ended_names, us)
    end
  else
    note_seconds(what, 'work', queue, path, math.max(0, seconds))
  end
end

local function note_loss(on_loss, need)
  note('loss ' .. word(on_loss or 'cancel') .. ' ' .. word(need), 1)
end

local function write_history()
  if ended_names then
    count_seconds('finished', 'work', ended_names, ended_edge, 1, 0)
    ended_names = nil
  end
  if is_timed then
    for _, row in pairs(timed) do
      local us = row.us
      for edge, n in pairs(row.edges) do
        count_seconds(row.what, row.label, row.names, edge, n, us)
        us = 0
      end
    end
    timed, is_timed = {}, false
  end
  write_notes()
end
