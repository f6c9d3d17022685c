-- Appending events: numbers, streams, and the ids of the last 24 hours.

-- Seconds in one bucket of ids. Three buckets cover at least the last 24 h with three look-ups; hourly ones
-- would hold a fifth less and need 25.
local BUCKET = 43200
local bucket = math.floor(now() / 1000000 / BUCKET)
-- Most values handed to one command: Lua's stack ends at 8,000.
local CHUNK = 512

local function bucket_key(number)
    return prefix .. 'seen:' .. text(number)
end

-- Which of `ids` were appended or committed within the last 24 h.
local function seen(ids)
    local found = {}
    for first = 1, #ids, CHUNK do
        local last = math.min(first + CHUNK - 1, #ids)
        for back = 0, 2 do
            local flags = redis.call('SMISMEMBER', bucket_key(bucket - back), unpack(ids, first, last))
            for i = 1, #flags do
                if flags[i] == 1 then
                    found[ids[first + i - 1]] = true
                end
            end
        end
    end
    return found
end

local function remember(ids)
    for first = 1, #ids, CHUNK do
        redis.call('SADD', bucket_key(bucket), unpack(ids, first, math.min(first + CHUNK - 1, #ids)))
    end
    if #ids > 0 then
        redis.call('EXPIREAT', bucket_key(bucket), text((bucket + 3) * BUCKET), 'NX')
    end
end

-- The number of the last event, and how many this script has appended; `number_events` must follow.
local last_seq = tonumber(redis.call('GET', KEYS[1]) or '0')
local appended = 0

local function number_events()
    if appended > 0 then
        redis.call('INCRBY', KEYS[1], appended)
    end
end

-- Streams that were looked at, and whether they have entries. XLEN fails where the key is something else, before
-- anything is written.
local known_streams = {}

local function know_stream(stream)
    if known_streams[stream] == nil then
        known_streams[stream] = redis.call('XLEN', prefix .. stream) > 0
    end
end

-- stream -> container -> its last entry there; what was changed has to be written. An entry carries the position of
-- the one before it about its container, so that a group can tell whether that one is still pending.
local latest, moved = {}, {}

-- Looks the last entries of the containers of `events` up. Fails where the key is something else, before anything is
-- written.
local function know_latest(events)
    local wanted = {}
    for _, event in ipairs(events) do
        if event.subject ~= '' then
            local of_stream = latest[event.stream]
            if not of_stream then
                of_stream = {}
                latest[event.stream] = of_stream
            end
            if of_stream[event.subject] == nil then
                of_stream[event.subject] = false
                local subjects = wanted[event.stream] or {}
                subjects[#subjects + 1] = event.subject
                wanted[event.stream] = subjects
            end
        end
    end
    for stream, subjects in pairs(wanted) do
        for first = 1, #subjects, CHUNK do
            local last = math.min(first + CHUNK - 1, #subjects)
            local ids = redis.call('HMGET', prefix .. 'last:' .. stream, unpack(subjects, first, last))
            for i = 1, #ids do
                latest[stream][subjects[first + i - 1]] = ids[i]
            end
        end
    end
end

local function write_latest()
    for stream, subjects in pairs(moved) do
        local flat = {}
        for subject in pairs(subjects) do
            flat[#flat + 1] = subject
            flat[#flat + 1] = latest[stream][subject]
            if #flat == CHUNK then
                redis.call('HSET', prefix .. 'last:' .. stream, unpack(flat))
                flat = {}
            end
        end
        if #flat > 0 then
            redis.call('HSET', prefix .. 'last:' .. stream, unpack(flat))
        end
    end
end

-- The arguments of XADD for an event whose number is `seq`; numbers below 2^53 are passed on exactly.
local function entry(event, seq, prev)
    local arguments = { prefix .. event.stream }
    if event.maxlen and event.maxlen ~= '' then
        arguments = { prefix .. event.stream, 'MAXLEN', '~', event.maxlen }
    end
    for _, argument in ipairs({ '*', 'seq', seq, 'event', event.bytes }) do
        arguments[#arguments + 1] = argument
    end
    if prev then
        arguments[#arguments + 1] = 'prev'
        arguments[#arguments + 1] = prev
    end
    for _, argument in ipairs(event.more or {}) do
        arguments[#arguments + 1] = argument
    end
    return unpack(arguments)
end

-- Appends `events` or none of them: one that is refused takes back those before it. Answers with the error.
local function add(events)
    local ids, prevs = {}, {}
    for i = 1, #events do
        local event = events[i]
        local of_stream = event.subject ~= '' and latest[event.stream]
        prevs[i] = of_stream and of_stream[event.subject]
        local id = redis.pcall('XADD', entry(event, last_seq + i, prevs[i]))
        if type(id) == 'table' then
            for j = i - 1, 1, -1 do
                if events[j].subject ~= '' then
                    latest[events[j].stream][events[j].subject] = prevs[j]
                end
            end
            for j = 1, i - 1 do
                redis.call('XDEL', prefix .. events[j].stream, ids[j])
            end
            return id
        end
        ids[i] = id
        if of_stream then
            of_stream[event.subject] = id
        end
    end
    for i = 1, #events do
        local stream = events[i].stream
        if not known_streams[stream] then
            redis.call('SADD', prefix .. 'streams', stream)
            known_streams[stream] = true
        end
        if events[i].subject ~= '' then
            moved[stream] = moved[stream] or {}
            moved[stream][events[i].subject] = true
        end
    end
    last_seq = last_seq + #events
    appended = appended + #events
    return nil
end
