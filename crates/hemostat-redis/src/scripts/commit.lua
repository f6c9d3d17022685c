-- Makes up to 64 commits, each of them atomic.
--
-- ARGV: the number of commits, then each commit as `commit.rs` writes it.
-- Answers with an integer for each: -1 fenced, -2 duplicate, -3 conflict, -4 early; otherwise the number of its first
-- event, 0 where it has none.
--
-- The script has no `allow-oom`: at `maxmemory`, on a replica, and where Redis cannot persist, it is refused
-- before its first line. What one commit writes begins with its events, and `add` writes all of them or none.
-- What can be written for all commits together is gathered and written at the end, which always comes.

local FENCED, DUPLICATE, CONFLICT, EARLY = -1, -2, -3, -4

local function read_commit()
    local commit
    local role, key, input = take(3)
    if input == 'entry' then
        local stream, id, prev, consumer, acknowledge = take(5)
        commit = {
            role = role, key = key, input = input, stream = stream, id = id, prev = prev, consumer = consumer,
            acknowledge = acknowledge == '1', subject = false, expected = false, next = false, events = false,
        }
    elseif input == 'timer' then
        local timer, held, acknowledge = take(3)
        commit = { role = role, key = key, input = input, timer = timer, held = held, acknowledge = acknowledge == '1' }
    else
        local lease, epoch = take(2)
        commit = { role = role, key = key, input = input, lease = lease, epoch = epoch }
    end
    if take(1) == '1' then
        commit.subject, commit.expected, commit.next = take(3)
    end
    local events, timers = {}, {}
    for i = 1, tonumber(take(1)) do
        local stream, subject, id, bytes = take(4)
        events[i] = { stream = stream, subject = subject, id = id, bytes = bytes }
    end
    for i = 1, tonumber(take(1)) do
        local member, due = take(2)
        timers[i] = { member = member, due = due }
    end
    commit.events, commit.timers = events, timers
    return commit
end

local commits, keys, subjects = {}, {}, {}
for i = 1, tonumber(take(1)) do
    local commit = read_commit()
    commits[i], keys[i] = commit, commit.key
    for _, event in ipairs(commit.events) do
        know_stream(event.stream)
    end
    know_latest(commit.events)
    if commit.subject then
        local of_role = subjects[commit.role] or {}
        of_role[#of_role + 1] = commit.subject
        subjects[commit.role] = of_role
    end
    if #commit.timers > 0 then
        -- These fail where the keys are something else, before anything is written.
        redis.call('ZCARD', prefix .. 'timers:' .. commit.role)
        redis.call('HLEN', prefix .. 'timer:' .. commit.role)
    end
end
redis.call('HLEN', prefix .. 'cursor')
redis.call('SCARD', prefix .. 'streams')

local done = seen(keys)
-- role -> container -> state as it stands: the version, a space, the rest. And what of it has to be written.
local states, changed = {}, {}
for role, names in pairs(subjects) do
    local values = redis.call('HMGET', prefix .. 'state:' .. role, unpack(names))
    local of_role = {}
    for i = 1, #names do
        of_role[names[i]] = values[i] or '0 '
    end
    states[role], changed[role] = of_role, {}
end
-- role -> stream -> entries acknowledged by this script.
local acknowledged, fresh = {}, {}

local function acks(commit)
    local of_role = acknowledged[commit.role]
    if not of_role then
        of_role = {}
        acknowledged[commit.role] = of_role
    end
    local list = of_role[commit.stream]
    if not list then
        list = { key = prefix .. commit.stream, ids = {}, is = {} }
        of_role[commit.stream] = list
    end
    return list
end

-- Whether an entry of the commit's stream is pending, for the consumer where one is given, for anybody otherwise.
local function is_pending(commit, list, id, ...)
    if list.is[id] then
        return false
    end
    local pending = redis.pcall('XPENDING', list.key, commit.role, id, id, 1, ...)
    if pending.err then
        if string.find(pending.err, 'NOGROUP', 1, true) then
            return false
        end
        error(pending)
    end
    return #pending == 1
end

-- Whether the input is the committing consumer's; and where it is not, whether it is nobody's.
local function holds(commit)
    if commit.input == 'entry' then
        local list = acks(commit)
        if is_pending(commit, list, commit.id, commit.consumer) then
            return true
        end
        return false, commit.acknowledge and done[commit.key] and not is_pending(commit, list, commit.id)
    elseif commit.input == 'timer' then
        local timer = redis.call('HGET', prefix .. 'timer:' .. commit.role, commit.timer)
        return timer == commit.held, commit.acknowledge and not timer
    end
    local lease = redis.call('HMGET', prefix .. 'lease:' .. commit.lease, 'epoch', 'owner')
    return lease[1] == commit.epoch and lease[2] ~= '', false
end

local function acknowledge(commit)
    if not commit.acknowledge then
        return
    end
    if commit.input == 'entry' then
        local list = acks(commit)
        list.is[commit.id] = true
        list.ids[#list.ids + 1] = commit.id
    else
        redis.call('ZREM', prefix .. 'timers:' .. commit.role, commit.timer)
        redis.call('HDEL', prefix .. 'timer:' .. commit.role, commit.timer)
    end
end

local function make(commit)
    local mine, nobodys = holds(commit)
    if not mine then
        -- Nobody's and known: the repetition of the commit that acknowledged it.
        return nobodys and done[commit.key] and DUPLICATE or FENCED
    end
    if done[commit.key] then
        acknowledge(commit)
        return DUPLICATE
    end
    if commit.prev and commit.prev ~= '' and is_pending(commit, acks(commit), commit.prev) then
        return EARLY
    end
    local expected = commit.expected
    if expected and string.find(states[commit.role][commit.subject], expected, 1, true) ~= 1 then
        return CONFLICT
    end
    local events = commit.events
    local first = #events > 0 and last_seq + 1 or 0
    local refused = add(events)
    if refused then
        error(refused)
    end
    done[commit.key] = true
    fresh[#fresh + 1] = commit.key
    for i = 1, #events do
        if events[i].id ~= commit.key and events[i].id ~= '' then
            fresh[#fresh + 1] = events[i].id
        end
    end
    if expected and states[commit.role][commit.subject] ~= commit.next then
        states[commit.role][commit.subject] = commit.next
        changed[commit.role][commit.subject] = commit.next
    end
    acknowledge(commit)
    -- After the acknowledgement: a timer may set itself again.
    for _, timer in ipairs(commit.timers) do
        redis.call('ZADD', prefix .. 'timers:' .. commit.role, timer.due, timer.member)
        redis.call('HSET', prefix .. 'timer:' .. commit.role, timer.member, timer.due)
    end
    return first
end

local function write_states(role, values)
    local pairs_of_role = {}
    for subject, value in pairs(values) do
        pairs_of_role[#pairs_of_role + 1] = subject
        pairs_of_role[#pairs_of_role + 1] = value
    end
    if #pairs_of_role > 0 then
        redis.call('HSET', prefix .. 'state:' .. role, unpack(pairs_of_role))
    end
end

-- The durable cursor: the position from which a lost group goes on. It stands just before the oldest pending
-- entry; where none is pending, at the last entry that was ever acknowledged, since everything before it was
-- delivered and is not pending. Acknowledgements come out of order, so that last entry is kept beside it.
local function move_cursor(role, stream, list)
    local field = role .. ' ' .. stream
    local last = string.match(redis.call('HGET', prefix .. 'cursor', field) or '', ' (.+)$') or '0-0'
    for _, id in ipairs(list.ids) do
        if is_later(id, last) then
            last = id
        end
    end
    local oldest = redis.call('XPENDING', list.key, role, '-', '+', 1)
    local cursor = oldest[1] and before(oldest[1][1]) or last
    redis.call('HSET', prefix .. 'cursor', field, cursor .. ' ' .. last)
end

local answers = {}
local complete, failure = pcall(function()
    for i = 1, #commits do
        answers[i] = make(commits[i])
    end
end)

number_events()
write_latest()
remember(fresh)
for role, values in pairs(changed) do
    write_states(role, values)
end
for role, streams in pairs(acknowledged) do
    for stream, list in pairs(streams) do
        if #list.ids > 0 then
            redis.call('XACK', list.key, role, unpack(list.ids))
            move_cursor(role, stream, list)
        end
    end
end
if not complete then
    return type(failure) == 'table' and failure or redis.error_reply('ERR ' .. tostring(failure))
end
return answers
